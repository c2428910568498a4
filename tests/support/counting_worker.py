"""A worker process that notes every call to a server: ``python -m tests.support.counting_worker FILE``.

A call is a round trip, as the client's library sends it: a command of MongoDB, what is sent to Redis at once, a request over
HTTP, a connection that is taken over. Each is a line of JSON: the server, the thread that made it, and what it asks.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

from pymongo import monitoring
from redis.connection import Connection

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.cli.worker import worker_command

_OPENING = {"HELLO", "AUTH", "CLIENT", "SELECT"}
"""What a connection begins with."""


class Notes:
    """Lines of a file."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def add(self, server: str, call: str) -> None:
        """Note a call of the present thread."""
        line = {"server": server, "thread": threading.current_thread().name, "call": call}
        os.write(self._file, f"{json.dumps(line)}\n".encode())


class MongoCommands(monitoring.CommandListener):
    """Notes each command."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """See the base class."""
        self._notes.add("mongodb", f"{event.command_name} {event.command.get(event.command_name)}")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """See the base class."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """See the base class."""


def main() -> None:
    """Run the worker command until it is told to stop."""
    notes = Notes(sys.argv[1])
    monitoring.register(MongoCommands(notes))
    _before(Connection, "send_packed_command", lambda _, command, *__, **___: _redis(notes, command))
    _before(HTTPConnection, "putrequest", lambda to, method, url, *_, **__: _http(notes, to, method, url))
    for taken_over in ("hijack", "body"):
        _before(DockerClient, taken_over, lambda _, path: notes.add("docker", f"connect {path}"))
    worker_command(sys.argv[2:])


def _before(kind: type, name: str, note: Callable[..., None]) -> None:
    """Have ``note`` called with the arguments of each call of a method."""
    method = getattr(kind, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        note(*args, **kwargs)
        return method(*args, **kwargs)

    setattr(kind, name, noted)


def _redis(notes: Notes, command: object) -> None:
    names = list(_commands(b"".join(command) if isinstance(command, list) else bytes(command)))  # type: ignore[call-overload]
    if names and names[0] not in _OPENING:
        notes.add("redis", " ".join(names))


def _commands(packed: bytes) -> "list[str]":
    """The names of the commands in what is sent."""
    names, at = [], 0
    while at < len(packed):
        end = packed.index(b"\r\n", at)
        parts = []
        count, at = int(packed[at + 1 : end]), end + 2
        for _ in range(count):
            end = packed.index(b"\r\n", at)
            size = int(packed[at + 1 : end])
            parts.append(packed[end + 2 : end + 2 + size])
            at = end + 4 + size
        names.append(parts[0].decode())
    return names


def _http(notes: Notes, to: HTTPConnection, method: str, url: str) -> None:
    notes.add("docker" if to.host == "localhost" else "s3", f"{method} {url}")


if __name__ == "__main__":
    main()
