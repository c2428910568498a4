"""What systemd is told of the worker, as its own side of the socket hears it."""

import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.worker import service_manager as module
from orchestrator.worker.redis_retry import connect
from orchestrator.worker.service_manager import ServiceManager
from orchestrator.worker.worker import ThreadWorker
from tests.support import pace
from tests.support.worker_process import until

FOREVER = str(10**12)


def names() -> list[str]:
    """The threads that run."""
    return [thread.name for thread in threading.enumerate()]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(pace.seconds(30))
        yield listening


@contextmanager
def told(manager: socket.socket, **environment: str) -> Iterator[ServiceManager]:
    """The worker's side."""
    with closing(ServiceManager({"NOTIFY_SOCKET": str(manager.getsockname()), **environment})) as worker:
        yield worker


def heard(manager: socket.socket) -> list[bytes]:
    """What has arrived by now."""
    messages = []
    manager.settimeout(0)
    with suppress(BlockingIOError):
        while True:
            messages.append(manager.recv(100))
    manager.settimeout(pace.seconds(30))
    return messages


def test_it_is_told_of_the_beginning_and_of_the_end(manager: socket.socket) -> None:
    """And of nothing in between where it has no watchdog."""
    with told(manager) as worker:
        worker.ready(lambda: True)
        worker.stopping()
        assert "watchdog" not in names()
    worker.stopping()
    assert heard(manager) == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("process", [{}, {"WATCHDOG_PID": str(os.getpid())}], ids=["any process", "this process"])
def test_a_watchdog_is_told_for_as_long_as_the_worker_lives(manager: socket.socket, process: dict[str, str]) -> None:
    """Three times in the time that it allows; a worker that does not live is silent, and may come back."""
    lives, asked = [True], []

    def ask() -> bool:
        asked.append(lives[0])
        return lives[0]

    with told(manager, WATCHDOG_USEC="30000", **process) as worker:
        worker.ready(ask)
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        lives[0] = False
        until(lambda: asked[-3:] == [False] * 3)
        assert set(heard(manager)) <= {b"WATCHDOG=1"}
        asked.clear()
        until(lambda: len(asked) > 3)
        assert heard(manager) == []
        lives[0] = True
        assert manager.recv(100) == b"WATCHDOG=1"
    until(lambda: "watchdog" not in names())


@pytest.mark.parametrize(
    "watchdog",
    [
        {"WATCHDOG_USEC": FOREVER, "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "0"},
    ],
    ids=["of another process", "no number", "negative", "none"],
)
def test_a_watchdog_that_is_not_meant_for_the_worker_is_not_told(manager: socket.socket, watchdog: dict[str, str]) -> None:
    """The variables are inherited by whatever a service starts."""
    with told(manager, **watchdog) as worker:
        worker.ready(lambda: True)
        assert "watchdog" not in names()
    assert heard(manager) == [b"READY=1"]


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_manager_that_can_be_reached_nothing_is_sent(address: str) -> None:
    """As in a container, or in a shell."""
    with closing(ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": FOREVER})) as worker:
        worker.ready(lambda: True)
        worker.stopping()
        assert "watchdog" not in names()


def test_a_name_without_a_file_is_reached() -> None:
    """Some managers listen in Linux's abstract space."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0orchestrator-test-{os.getpid()}")
        manager.settimeout(pace.seconds(30))
        with closing(ServiceManager({"NOTIFY_SOCKET": f"@orchestrator-test-{os.getpid()}"})) as worker:
            worker.stopping()
        assert manager.recv(100) == b"STOPPING=1"


def test_a_manager_that_does_not_listen_ends_no_worker(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that is gone, nor one that is so busy that it takes no message."""
    with closing(ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")})) as worker:
        worker.stopping()
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    with told(manager) as worker:
        for _ in range(sent := _room() + 5):
            worker.stopping()
    assert len(heard(manager)) < sent


def _room() -> int:
    """How many messages Linux keeps for who does not read them."""
    return int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text(encoding="ascii")) + 1


def test_a_worker_without_a_free_descriptor_is_heard(manager: socket.socket) -> None:
    """It waits for one, and must not be ended for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with told(manager) as worker:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            worker.stopping()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert manager.recv(100) == b"STOPPING=1"


def test_a_worker_is_ready_once_redis_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And before it takes a job; it stops before it waits for what runs."""
    notes: list[str] = []
    worker = ThreadWorker(
        connect("redis://127.0.0.1:1"),
        "default",
        1,
        ready=lambda: (notes.append("ready"), worker.request_stop())[0],
        drain=lambda: notes.append("drain"),
    )
    monkeypatch.setattr(worker.link, "persist", lambda call: notes.append(call.__name__))
    monkeypatch.setattr(worker.link, "attempt", lambda call: notes.append(call.__name__))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert worker.run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert notes == ["beat", "ready", "drain", "register_death"]
