"""Writes a program's bytes to this process's own streams: unchanged, but in a terminal only what does nothing there."""

import sys
from collections.abc import Iterable
from typing import TextIO

from orchestrator.cli.page import option
from orchestrator.cli.terminal import Decoder
from orchestrator.client import Client
from orchestrator.ports import Stream

raw_option = option("Output", "--raw", is_flag=True, help="In a terminal, too, print the program's bytes as they are.")


class Printer:
    """Prints what programs wrote, each stream to the one of the same name, as soon as it is given."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self._decoders = {stream: Decoder() for stream in Stream}

    def write(self, stream: Stream, data: bytes, *, final: bool = False) -> None:
        """Print bytes; with ``final`` no more of the stream follow."""
        out = _own(stream)
        if self._raw or not out.isatty():
            out.buffer.write(data)
        else:
            text = self._decoders[stream].text(data, final=final)
            out.write(text.encode(out.encoding, "replace").decode(out.encoding))
        out.flush()

    def end(self) -> None:
        """Print what was the beginning of a character and stays one."""
        for stream in Stream:
            self.write(stream, b"", final=True)


def print_streams(
    client: Client, task_id: str, streams: Iterable[Stream], *, raw: bool, attempt: int | None = None, offset: int = 0
) -> None:
    """What the program wrote to some of its streams, each to the stream of the same name. Raises UnknownTask."""
    for stream in streams:
        print_bytes(client.logs(task_id, stream, offset, attempt=attempt), stream, raw=raw)


def print_bytes(chunks: Iterable[bytes], stream: Stream, *, raw: bool) -> None:
    """Bytes of a program, to the stream of this name."""
    printer = Printer(raw=raw)
    for chunk in chunks:
        printer.write(stream, chunk)
    printer.end()


def _own(stream: Stream) -> TextIO:
    return sys.stdout if stream is Stream.STDOUT else sys.stderr
