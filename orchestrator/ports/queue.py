"""The queue of task ids that wait for a worker."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, Self

from attrs import field, frozen

_DESCRIPTION = 200
_LABELS = 4096
"""Characters of all labels together; a job with more says none."""


@frozen
class QueueHead:
    """The ids of the tasks at the head of the line; ``whole`` when nobody stands behind them."""

    task_ids: frozenset[str]
    whole: bool


@frozen
class QueueDepth:
    """How many jobs wait, and the age of the first one in seconds; None if there is none, or it does not tell."""

    jobs: int
    oldest: float | None


@frozen
class JobInfo:
    """What a job says of its task beside the id.

    ``deployment`` is the one whose task it is, for workers that share the queue with others; empty when that is not known.
    ``description`` and ``labels`` are for people, and cut to what people read.
    """

    deployment: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of(cls, task_id: str, document: Mapping[str, object], deployment: str) -> Self:
        """From a document, or what is known of it; it may not be valid."""
        command, labels = document.get("command"), document.get("labels")
        words = [task_id, document.get("image"), *(command if isinstance(command, list | tuple) else [command])]
        texts = labels.items() if isinstance(labels, Mapping) else ()
        own = {name: text for name, text in texts if isinstance(name, str) and isinstance(text, str)}
        return cls(deployment, _line(words), own if sum(map(len, [*own, *own.values()])) <= _LABELS else {})


@frozen
class WorkerRecord:
    """What a worker last said of itself. ``engine`` and ``slots`` are empty and 0 for one that does not say."""

    name: str
    host: str
    pid: int
    engine: str
    slots: int
    tasks: tuple[str, ...]
    """The ids of the tasks that it holds."""
    state: str
    """``idle``, ``busy`` or ``draining``."""
    started_at: datetime
    last_heartbeat: datetime


class Queue(Protocol):
    """The queue of task ids waiting for a worker."""

    def enqueue(self, task_id: str, info: JobInfo = ...) -> None:
        """Put the task in line. Enqueueing an id twice is allowed: the claim sorts it out."""

    def first(self, limit: int, deployment: str = "") -> QueueHead:
        """The first ``limit`` entries in line, and all that are on their way to a worker.

        Of those only tasks that are of this deployment or may be: an entry need not say.
        """

    def depth(self) -> QueueDepth:
        """The jobs in line, those of other applications and installations included; those on their way to a worker are not.

        The age is by the clocks of this host and of the one that put the job in line.
        """

    def workers(self) -> int:
        """How many workers take tasks from this queue; one that has just died may count for some minutes."""

    def records(self) -> Sequence[WorkerRecord]:
        """The workers that take tasks from this queue, by name, as each last told; likewise also of one that has just died."""


def _line(words: Iterable[object]) -> str:
    """One line of printable text, cut at its end."""
    text = " ".join(word for word in words if isinstance(word, str))[: _DESCRIPTION + 1]
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return shown if len(shown) <= _DESCRIPTION else f"{shown[: _DESCRIPTION - 1]}…"
