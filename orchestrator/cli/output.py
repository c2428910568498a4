"""Writes a program's bytes to this process's own streams: unchanged, but in a terminal only what does nothing there."""

import sys
from collections.abc import Iterable

from orchestrator.cli.page import option
from orchestrator.cli.terminal import decoded
from orchestrator.client import Client
from orchestrator.ports import Stream
from orchestrator.task.document import Task

raw_option = option("Output", "--raw", is_flag=True, help="In a terminal, too, print the program's bytes as they are.")


def print_output(client: Client, task: Task, *, raw: bool) -> None:
    """What the program wrote to both streams; nothing when no log is stored."""
    if task.logs is not None:
        print_streams(client, task.id, Stream, raw=raw)


def print_streams(client: Client, task_id: str, streams: Iterable[Stream], *, raw: bool, attempt: int | None = None) -> None:
    """What the program wrote to some of its streams, each to the stream of the same name. Raises UnknownTask."""
    for stream in streams:
        print_bytes(client.logs(task_id, stream, attempt=attempt), stream, raw=raw)


def print_bytes(chunks: Iterable[bytes], stream: Stream, *, raw: bool) -> None:
    """Bytes of a program, to the stream of this name."""
    out = sys.stdout if stream is Stream.STDOUT else sys.stderr
    if raw or not out.isatty():
        for chunk in chunks:
            out.buffer.write(chunk)
        out.buffer.flush()
    else:
        for text in decoded(chunks):
            out.write(text.encode(out.encoding, "replace").decode(out.encoding))
        out.flush()
