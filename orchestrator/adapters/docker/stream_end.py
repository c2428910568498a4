"""The end of the output that this process reads from a program, which is the end of the program."""

import threading

from attrs import define, field

from orchestrator.ports import ContainerState


@define(eq=False)
class StreamEnd:
    """Written by the thread that reads; others wait for it."""

    state: ContainerState | None = None
    """The container's state, if its program had exited when the stream ended."""
    _over: threading.Event = field(factory=threading.Event, init=False)

    @property
    def is_over(self) -> bool:
        """Whether nobody reads any more."""
        return self._over.is_set()

    def wait(self, seconds: float) -> None:
        """Wait until nobody reads any more, at most so long."""
        self._over.wait(seconds)

    def close(self) -> None:
        """Nobody reads any more."""
        self._over.set()
