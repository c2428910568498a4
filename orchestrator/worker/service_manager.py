"""Tells systemd that the worker is ready, lives, and stops: one datagram each, as ``sd_notify`` sends it. It knows no task."""

import os
import socket
import threading
from collections.abc import Callable, Mapping

from orchestrator.log import logger

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
_MICROSECONDS = 1e6
_SHARE = 3
"""So many times it is told that the worker lives in the time after which it counts as dead, so that one may come late."""
_SECONDS = 1.0
"""For how long a message waits where the manager takes none."""


class ServiceManager:
    """What started this process and wants to hear of it; where NOTIFY_SOCKET is not set, nobody does, and nothing is sent.

    The socket is made at once and kept: a worker that has no descriptor left still says that it lives.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._patience = _patience(environment)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        if self._socket:
            self._socket.settimeout(_SECONDS)
        self._closed = threading.Event()

    def ready(self, lives: Callable[[], bool]) -> None:
        """The worker takes tasks. From now on, if there is a watchdog, it is told that the worker lives for as long as it does.

        It is a thread of its own that asks and tells: the worker's loop stands still while Redis is away, and lives.
        """
        self._tell(READY)
        if self._socket and self._patience:
            threading.Thread(target=self._watch, args=(lives,), name="watchdog", daemon=True).start()

    def stopping(self) -> None:
        """The worker takes no more, and leaves when what runs has ended."""
        self._tell(STOPPING)

    def close(self) -> None:
        """Tell nothing any more."""
        self._closed.set()
        if self._socket:
            self._socket.close()

    def _watch(self, lives: Callable[[], bool]) -> None:
        alive = True
        while not self._closed.is_set():
            before, alive = alive, lives()
            if alive:
                self._tell(ALIVE)
            elif before:
                logger.error("the worker does not live: the service manager ends it in {:g} s or less", self._patience)
            self._closed.wait(self._patience / _SHARE)

    def _tell(self, what: str) -> None:
        if self._socket and not self._closed.is_set():
            try:
                self._socket.sendto(what.encode(), self._address)
            except OSError as error:
                logger.warning("the service manager does not hear {}: {}", what, error)


def _address(named: str) -> str:
    """Where to send to: a path, or a name of Linux's abstract space, which is written with an @. Empty for anything else."""
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else ""


def _patience(environment: Mapping[str, str]) -> float:
    """Seconds of silence after which this process counts as dead; 0 when it may be silent, or another process is meant."""
    limit, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    meant = process in {"", str(os.getpid())}
    return int(limit) / _MICROSECONDS if meant and limit.isascii() and limit.isdecimal() else 0.0
