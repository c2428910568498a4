"""The signals that a process which minds children waits for: requests to stop, and the end of a child."""

import signal
from queue import SimpleQueue
from types import FrameType

STOP = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def interrupt_on_stop() -> None:
    """From now on each request to stop raises KeyboardInterrupt in the main thread."""
    for number in _heeded():
        signal.signal(number, signal.default_int_handler)


class Inbox:
    """From when it is made, signals are kept for ``next`` and do nothing else. To be made and asked in the main thread."""

    def __init__(self) -> None:
        self._arrived: SimpleQueue[int] = SimpleQueue()
        for number in (*_heeded(), signal.SIGCHLD):
            signal.signal(number, self._keep)

    def next(self) -> int:
        """Wait for the next signal."""
        return self._arrived.get()

    def _keep(self, number: int, _: FrameType | None) -> None:
        self._arrived.put(number)


def _heeded() -> list[signal.Signals]:
    """A signal that the parent process ignores, as nohup does, stays ignored."""
    return [number for number in STOP if signal.getsignal(number) is not signal.SIG_IGN]
