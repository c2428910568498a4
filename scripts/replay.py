"""Measures how fast a worker that adopts a task reads its output again from the engine's log.

    python -m scripts.replay [MEGABYTES]

Prints the engine alone, the worker's side alone, and both together. The worker's side alone gets the engine's answer, recorded
before, from another process that hands it over as fast as it is taken.
"""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
from attrs import frozen

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.logs import replay
from orchestrator.output.spool import Spool
from orchestrator.ports import Chunk, ContainerState, Phase

IMAGE = "orchestrator-busybox:1"
WHERE = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
_READ = 1 << 18
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_VERSION = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'


@frozen
class Shape:
    """What a program writes: lines of so many bytes, their newlines included; ``share`` is how much of what was asked for."""

    name: str
    line: int
    share: float


SHAPES = (Shape("empty lines", 1, 0.025), Shape("lines of 80 bytes", 80, 0.5), Shape("lines of 1000 bytes", 1000, 1.0))


def main() -> None:
    """Print a row for each shape."""
    size = float(sys.argv[1] if len(sys.argv) > 1 else "40") * 1e6
    print("".join(f"{title:>29}" for title in ("", "engine alone", "worker's side alone", "both")))
    for shape in SHAPES:
        lines = int(size * shape.share) // shape.line
        figures = (f"{lines / took:,.0f} lines/s {lines * shape.line / took / 1e6:.1f} MB/s" for took in measure(shape, lines))
        print("".join(f"{figure:>29}" for figure in (shape.name, *figures)))


def measure(shape: Shape, lines: int) -> tuple[float, float, float]:
    """Seconds that the engine, the worker's side, and both take for so many lines."""
    with logged(shape, lines) as container, TemporaryDirectory() as folder:
        began = time.perf_counter()
        answer = recorded(container)
        engine = time.perf_counter() - began
        with served(answer, f"{folder}/socket") as url:
            worker = spooled(replay(DockerClient(url, 60), container, exited, inf), Path(folder, "worker"))
        both = spooled(DockerEngine(WHERE).read_log(container), Path(folder, "both"))
    return engine, worker, both


@contextmanager
def logged(shape: Shape, lines: int) -> Iterator[str]:
    """The id of a container that has written the lines to a log as a task has it."""
    script = f"yes \"$(head -c {shape.line - 1} /dev/zero | tr '\\0' a)\" | head -n {lines}"
    log = docker.types.LogConfig(type="local", config={"max-size": "1g", "max-file": "5", "compress": "false"})
    with closing(docker.DockerClient(base_url=WHERE)) as client:
        container = client.containers.run(IMAGE, ["sh", "-c", script], log_config=log, network_disabled=True, detach=True)
        try:
            container.wait()
            yield str(container.id)
        finally:
            container.remove(force=True)


def recorded(container: str) -> bytes:
    """The engine's answer, byte for byte; nothing is done with it."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(WHERE.removeprefix("unix://"))
        path = f"/v1.41/containers/{container}/logs?stdout=1&stderr=1&timestamps=1"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(_READ), b""))


@contextmanager
def served(answer: bytes, at: str) -> Iterator[str]:
    """The address of an engine that gives this answer to all but the question for its version."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(at)
        listener.listen()
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listener, answer), daemon=True)
        process.start()
        try:
            yield f"unix://{at}"
        finally:
            process.kill()
            process.join()


def serve(listener: socket.socket, answer: bytes) -> None:
    """Answer one connection after the other."""
    while True:
        connection, _ = listener.accept()
        with closing(connection):
            while asked := connection.recv(_READ):
                if b"/version" not in asked:
                    connection.sendall(answer)
                    break
                connection.sendall(_VERSION)


def exited(_: float) -> ContainerState:
    """A program that ended long before it was looked at."""
    return ContainerState("c", Phase.EXITED, _LONG_AGO)


def spooled(log: Iterator[Chunk], folder: Path) -> float:
    """Seconds that it takes to bring the log into a spool."""
    began = time.perf_counter()
    Spool(folder, 1 << 40).catch_up(log)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
