"""What a waiting container is told to become a task's program, and the line that says that the program began. Pure.

`handover.c` is the program that reads it.
"""

import json
import os
import struct
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress

from attrs import frozen

from orchestrator.adapters.docker.demux import Demux
from orchestrator.ports import Chunk, Stream

NEVER_BEGAN = 91
"""The exit code of a container whose worker has died before it had told all."""
LONGEST_LINE = 4096
"""Bytes that the kernel writes to a pipe as a whole."""
LARGEST = 1 << 20
"""Bytes of arguments and variables. More may be too many for a start, which only a start can tell."""
_BEGIN = b"orchestrator.begin "
_ERRORS = 134
"""One more than the last error of Linux."""


@frozen
class Handover:
    """A task's program, for a container of its image. ``line`` is written to stdout as the program begins."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    """Added to those of the container, or in place of them."""
    folder: str
    """Where it starts; empty: where the container did."""
    keeps_stdin: bool
    line: bytes

    @property
    def fits(self) -> bool:
        """Whether the program can be told in this way."""
        words = [*self.arguments, *map("=".join, self.variables.items())]
        return bool(self.arguments) and len(self.line) <= LONGEST_LINE and sum(len(each) for each in words) * 4 <= LARGEST

    def packed(self) -> bytes:
        """The bytes for stdin. What follows them is the program's stdin."""
        errors = [os.strerror(number) for number in range(_ERRORS)]
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        counts = (self.keeps_stdin, len(self.arguments), len(variables), len(self.line), len(errors))
        strings = [self.folder, *self.arguments, *variables, *errors]
        body = struct.pack("=5I", *counts) + self.line + b"".join(each.encode() + b"\0" for each in strings)
        return struct.pack("=I", len(body)) + body


def begin_line(labels: Mapping[str, str]) -> bytes:
    """The first line of a program's log: whose it is, because the labels of a container cannot change."""
    return _BEGIN + json.dumps(dict(labels), separators=(",", ":")).encode() + b"\n"


def labels_of(line: bytes) -> Mapping[str, str] | None:
    """The labels in the first line of a log; None if it is no such line."""
    if line.startswith(_BEGIN) and line.endswith(b"\n"):
        with suppress(ValueError):
            found = json.loads(line.removeprefix(_BEGIN))
            if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
                return found
    return None


def without_begin(log: Generator[Chunk]) -> Generator[Chunk]:
    """The output in a log without its begin line, which is the first of stdout unless the engine has dropped it."""
    first = True
    with closing(log):
        for stream, data in log:
            cut = data.find(b"\n") + 1 if first and stream is Stream.STDOUT and data.startswith(_BEGIN) else 0
            first = first and stream is not Stream.STDOUT
            if len(data) > cut:
                yield stream, data[cut:]


class AfterBegin(Demux):
    """The streams of a waiting container without the begin line."""

    def __init__(self, line: bytes) -> None:
        super().__init__()
        self._left = len(line)

    @property
    def has_begun(self) -> bool:
        """Whether the whole line has come."""
        return not self._left

    def feed(self, data: bytes) -> list[Chunk]:
        """See Demux."""
        chunks = super().feed(data)
        return [*filter(None, map(self._stripped, chunks))] if self._left else chunks

    def _stripped(self, chunk: Chunk) -> Chunk | None:
        """The line is the first that is written to stdout; nothing is written to stderr before it."""
        stream, text = chunk
        if stream is not Stream.STDOUT:
            return chunk
        cut = min(self._left, len(text))
        self._left -= cut
        return (stream, text[cut:]) if len(text) > cut else None
