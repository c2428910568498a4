"""How a program's output is seen while it runs. The stored log is the truth; this is a bounded copy of its last part."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import frozen

from orchestrator.ports.container import Stream
from orchestrator.task.event import Event


@frozen
class Piece:
    """Bytes of a stream; ``offset`` is that of the first one in the object that the stream is stored as."""

    attempt: int
    stream: Stream
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset of what follows."""
        return self.offset + len(self.data)


@frozen
class Point:
    """What a program used ``t`` seconds after its start: the CPU in % of one core, memory, and processes and threads then.

    The rest is what was counted from the start on; None where the engine does not tell.
    """

    attempt: int
    t: float
    cpu_percent: float
    memory_bytes: int
    pids: int
    throttled_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None


LiveEntry = Piece | Point | Event
POINTS = 3600
"""How many points of a task can be followed, about: those of an hour."""


class LiveOutput(Protocol):
    """A bounded list of entries for each task of a deployment, which goes some time after its last entry."""

    def append(self, deployment: str, entries: Mapping[str, Sequence[Piece | Point]], limit: int) -> None:
        """Add pieces of output and points to the lists of tasks, by task id; all in one round trip.

        The oldest pieces of a task go until those of each of its streams have ``limit`` bytes at most, and the oldest points
        beyond ``POINTS``. After an error some may have been added, and are added again when the call is repeated: the offset
        tells.
        """

    def drop(self, deployment: str, task_ids: Collection[str]) -> None:
        """Forget the entries of these tasks; all in one round trip."""

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """The offset behind the last piece of each stream of this attempt; nothing for a stream without one."""

    def latest(self, deployment: str, task_ids: Sequence[str]) -> Mapping[str, Point]:
        """The last point of each of the tasks that has one; all in one round trip."""

    def follow(
        self, deployment: str, task_id: str, *, points: bool = False
    ) -> AbstractContextManager[Iterator[LiveEntry | None]]:
        """The entries that are there, oldest first, then those that come; yields None about once a second when idle.

        From the moment the context is entered the task's events are among the entries, in the order in which they were
        published, whether or not the task has output. Points are among them only with ``points``, in no order with the others.
        """
