"""Writes a program's bytes, unchanged, to this process's own streams."""

import sys
from collections.abc import Iterable

from orchestrator.client import Client
from orchestrator.ports import Stream
from orchestrator.task import Task


def print_output(client: Client, task: Task) -> None:
    """What the program wrote to both streams; nothing when no log is stored."""
    if task.logs is not None:
        print_streams(client, task.id, Stream)


def print_streams(client: Client, task_id: str, streams: Iterable[Stream]) -> None:
    """What the program wrote to some of its streams, each to the stream of the same name. Raises UnknownTask."""
    for stream in streams:
        out = (sys.stdout if stream is Stream.STDOUT else sys.stderr).buffer
        for chunk in client.logs(task_id, stream):
            out.write(chunk)
        out.flush()
