"""Measures the HTTP API: ``make bench-server``.

Prints how long a submit takes by HTTP and by the client with servers, how much later than an event its viewers hear of it, what
1,000 viewers cost, and how soon the command line answers by HTTP and with servers. Both sides run in turn, order shuffled.
No task runs: a cancelled task that waits in the queue ends at once.
"""

import asyncio
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from loguru import logger

from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.embedded.ports import choose_ports
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect

SUBMITS, WAITS, VIEWERS, EVENTS, STARTS = 200, 50, 1000, 10, 10
TASK = {"image": "orchestrator-busybox:1", "command": ["true"]}
_READY = 120.0
_FILES = 8192


def main() -> None:
    """Run all measurements."""
    logger.remove()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, most), most))
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        environment = {**servers.environment, "API_CONNECTIONS": str(VIEWERS + 100)}
        with Client(connect(Settings.load(environment))) as client, _serving(environment, Path(folder)) as (url, pid):
            with httpx.Client(base_url=url, timeout=60) as http:
                _submits(client, http)
                _waits(client, http)
            asyncio.run(_viewers(client, url, pid))
            _starts({"with servers": environment, "by HTTP": {"ORCHESTRATOR_URL": url}})
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")


@contextmanager
def _serving(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, int]]:
    """A server: its address and its process id."""
    (port,) = choose_ports(1)
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "orchestrator", "--no-env-file", "serve"]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(argv, env={**os.environ, **environment, "API_PORT": str(port)}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + _READY
        while not _answers(url):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit((folder / "serve.log").read_text())
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


def _submits(client: Client, http: httpx.Client) -> None:
    sides = {
        "by HTTP": lambda: http.post("/v1/tasks", json=TASK).raise_for_status(),
        "with servers": lambda: client.submit(TASK),
    }
    for name, seconds in _in_turn(sides, SUBMITS).items():
        _tell(f"submit {name}", seconds)


def _waits(client: Client, http: httpx.Client) -> None:
    """How much later than a subscriber of Redis a request that waits has its answer."""
    late = []
    for _ in range(WAITS):
        task_id = client.submit(TASK).id
        ended: list[float] = []
        answered: list[float] = []
        watching = threading.Thread(target=lambda task_id=task_id, ended=ended: ended.append(_end_of(client, task_id)))
        asking = threading.Thread(
            target=lambda task_id=task_id, answered=answered: answered.append(_answer_of(http, task_id)),
        )
        watching.start()
        asking.start()
        time.sleep(0.2)  # both are waiting
        client.cancel(task_id)
        watching.join()
        asking.join()
        late.append(answered[0] - ended[0])
    _tell("end heard of: ?wait after a subscriber", late)


def _end_of(client: Client, task_id: str) -> float:
    for _ in client.watch(task_id):
        pass
    return time.perf_counter()


def _answer_of(http: httpx.Client, task_id: str) -> float:
    http.post("/v1/tasks", params={"wait": "30s"}, json={**TASK, "id": task_id}).raise_for_status()
    return time.perf_counter()


async def _viewers(client: Client, url: str, pid: int) -> None:
    """Viewers of all events: memory of the server, and seconds from a cancellation to each of them."""
    before = _memory(pid)
    streams = [await _viewer(url) for _ in range(VIEWERS)]
    print(f"{VIEWERS} viewers: the server has {before:.0f} MiB before, {_memory(pid):.0f} MiB with them")
    first, last, alone = [], [], []
    for _ in range(EVENTS):
        task_id = (await asyncio.to_thread(client.submit, TASK)).id
        await asyncio.gather(*(_told(stream, task_id, '"queued"') for stream in streams))
        watching = asyncio.create_task(asyncio.to_thread(_end_of, client, task_id))
        hearing = asyncio.gather(*(_told(stream, task_id, '"failed"') for stream in streams))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(client.cancel, task_id)
        heard, ended = sorted(await hearing), await watching
        first.append(heard[0] - ended)
        last.append(heard[-1] - ended)
        alone.append(statistics.median(heard) - ended)
    for name, seconds in {"first": first, "median": alone, "last": last}.items():
        _tell(f"an event: the {name} viewer after a subscriber", seconds)


async def _viewer(url: str) -> asyncio.StreamReader:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    _KEPT.append(writer)
    await reader.readuntil(b": listening")
    return reader


_KEPT: list[asyncio.StreamWriter] = []
"""A writer that nobody has closes its connection."""


async def _told(stream: asyncio.StreamReader, task_id: str, status: str) -> float:
    """When it hears of this event."""
    while True:
        line = (await stream.readline()).decode()
        if not line:
            raise SystemExit("a viewer was dropped")
        if task_id in line and f'"status": {status}' in line:
            return time.perf_counter()


def _memory(pid: int) -> float:
    """MiB of its own, and its part of what it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


def _starts(sides: Mapping[str, Mapping[str, str]]) -> None:
    argv = [sys.executable, "-m", "orchestrator", "--no-env-file", "list", "--limit", "1"]

    def started(own: Mapping[str, str]) -> Callable[[], object]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return lambda: subprocess.run(argv, env={**kept, **own}, check=True, capture_output=True)

    for name, seconds in _in_turn({name: started(own) for name, own in sides.items()}, STARTS).items():
        _tell(f"orchestrator list {name}", seconds)


def _in_turn(sides: Mapping[str, Callable[[], object]], rounds: int) -> Mapping[str, Sequence[float]]:
    """Seconds of each call; after one of each that is not counted, in an order that is shuffled for each round."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call()
    for _ in range(rounds):
        for name in random.sample([*sides], len(sides)):
            began = time.perf_counter()
            sides[name]()
            took[name].append(time.perf_counter() - began)
    return took


def _tell(name: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    p50, p95 = statistics.median(ordered) * 1000, ordered[math.ceil(0.95 * len(ordered)) - 1] * 1000
    print(f"{name:<46} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms, of {len(ordered)}", flush=True)


if __name__ == "__main__":
    main()
