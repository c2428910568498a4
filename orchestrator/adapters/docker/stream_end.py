"""The end of the output that this process reads from a program, which is the end of the program."""

import threading

from attrs import define, field

from orchestrator.ports import ContainerState


@define(eq=False)
class StreamEnd:
    """Written by the thread that reads; others wait for it."""

    state: ContainerState | None = None
    """The container's state, if its program had exited when the stream ended."""
    _begun: bool = field(default=False, init=False)
    _over: threading.Event = field(factory=threading.Event, init=False)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody reads: who has attached but reads later would never see the end."""
        return self._begun and not self._over.is_set()

    def begin(self) -> None:
        """Somebody reads from now on."""
        self._begun = True

    def wait(self, seconds: float) -> None:
        """Wait until nobody reads any more, at most so long."""
        self._over.wait(seconds)

    def close(self) -> None:
        """Nobody reads any more."""
        self._over.set()
