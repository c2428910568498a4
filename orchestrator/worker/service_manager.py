"""Tells systemd that the worker is ready, lives, and stops: one datagram each, as ``sd_notify`` sends it. It knows no task."""

import os
import socket
import threading
from collections.abc import Callable, Mapping

from orchestrator.log import logger

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
_MICROSECONDS = 1e6
_SHARE = 3
"""Number of messages within the time after which the worker counts as dead, so that one of them may be late."""
_SECONDS = 1.0
"""Seconds that a message waits if the manager takes none."""


class ServiceManager:
    """The service manager that started this process. If NOTIFY_SOCKET is not set, nothing is sent.

    The socket is made at once and kept, so that a worker without a free descriptor can still report that it lives.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._patience = _patience(environment)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        if self._socket:
            self._socket.settimeout(_SECONDS)
        self._closed = threading.Event()

    def ready(self, lives: Callable[[], bool]) -> None:
        """The worker takes tasks. If there is a watchdog, it gets a message from now on as long as the worker lives.

        A separate thread sends it: the worker's loop stands still while Redis is away, although the worker lives.
        """
        self._tell(READY)
        if self._socket and self._patience:
            threading.Thread(target=self._watch, args=(lives,), name="watchdog", daemon=True).start()

    def stopping(self) -> None:
        """The worker takes no new task, and leaves when its running tasks have ended."""
        self._tell(STOPPING)

    def close(self) -> None:
        """Send no more messages."""
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
    """The address: a path, or a name in Linux's abstract space, which is written with an @. Empty for other values."""
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else ""


def _patience(environment: Mapping[str, str]) -> float:
    """Seconds of silence after which this process counts as dead; 0 without a watchdog, or if it is for another process."""
    limit, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    meant = process in {"", str(os.getpid())}
    return int(limit) / _MICROSECONDS if meant and limit.isascii() and limit.isdecimal() else 0.0
