"""What a command prints, cleaned of all that a terminal would obey: text of tasks, servers and files is shown as text.

The bytes of a program are its own, and are written by ``output``.
"""

import codecs
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import click


def printable(text: object, keep: str = "") -> str:
    """The text on one line, without anything that a terminal would obey. An id may be anything. What is in ``keep`` stays."""
    return "".join(sign if sign.isprintable() or sign in keep else "\N{REPLACEMENT CHARACTER}" for sign in str(text))


def say(text: object, *, err: bool = False) -> None:
    """Print a line, to stderr with ``err``."""
    click.echo(printable(text), err=err)


def say_json(text: str) -> None:
    """Print JSON of many lines: those between its values, for there is none inside of one."""
    click.echo(printable(text, keep="\n"))


def hand_on(text: str) -> None:
    """Print a line exactly, for a program to read: what the user has set, and nothing of tasks or servers."""
    click.echo(text)


def open_missing() -> None:
    """Have /dev/null in place of each stream that was closed when the process began, as by ``>&-``: Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def bear_any_text() -> None:
    """From now on, what stdout and stderr cannot encode is written as an escape in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what is left of stdout. Raises OSError here, where it can be told, not when the interpreter ends."""
    if not sys.stdout.closed:
        sys.stdout.flush()


def drop_output() -> None:
    """Send what is left of stdout to nowhere: it would fail again."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class Decoder:
    """The bytes of a program as text that may be shown: what is no UTF-8 is replaced, and a carriage return ends its line."""

    def __init__(self) -> None:
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)

    def text(self, data: bytes, *, final: bool = False) -> str:
        """The text of the next bytes, as far as it is whole; with ``final`` all of it."""
        return printable(self._decoder.decode(data, final=final), keep="\n\t")
