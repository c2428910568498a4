"""Output that is followed, within one process."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import define, field

from orchestrator.ports import POINTS, LiveEntry, Piece, Point, Stream
from orchestrator.task.event import Event

Key = tuple[str, str]


@define
class _List:
    """The entries of a task, each with its number; None stands for one that only says that somebody follows."""

    entries: list[tuple[int, LiveEntry | None]] = field(factory=list)
    added: int = 0

    def add(self, entry: LiveEntry | None) -> None:
        self.added += 1
        self.entries.append((self.added, entry))

    def add_point(self, point: Point) -> None:
        self.add(point)
        if len(self.points()) > POINTS:
            self.drop(lambda entry: isinstance(entry, Point))

    def points(self) -> list[Point]:
        return [entry for _, entry in self.entries if isinstance(entry, Point)]

    def drop(self, wanted: Callable[[LiveEntry | None], bool]) -> None:
        """The oldest of a kind."""
        del self.entries[next(place for place, (_, entry) in enumerate(self.entries) if wanted(entry))]

    def size(self, stream: Stream) -> int:
        return sum(len(entry.data) for _, entry in self.entries if isinstance(entry, Piece) and entry.stream is stream)


class MemoryLiveOutput:
    """The LiveOutput of one process; ``idle`` is how long a follower waits before it yields None, in seconds."""

    def __init__(self, idle: float = 1.0) -> None:
        self._idle = idle
        self._change = threading.Condition()
        self._lists: dict[Key, _List] = {}
        self._ends: dict[Key, tuple[int, dict[Stream, int]]] = {}

    def append(self, deployment: str, entries: Mapping[str, Sequence[Piece | Point]], limit: int) -> None:
        """Add, then drop the oldest beyond the limits."""
        with self._change:
            for task_id, of_task in entries.items():
                key = deployment, task_id
                there = self._lists.setdefault(key, _List())
                for piece in of_task:
                    if isinstance(piece, Point):
                        there.add_point(piece)
                        continue
                    attempt, ends = self._ends.get(key, (0, {}))
                    if piece.attempt < attempt:
                        continue
                    kept = ends if piece.attempt == attempt else {}
                    self._ends[key] = piece.attempt, {**kept, piece.stream: piece.end}
                    there.add(piece)
                while any(there.size(stream) > limit for stream in Stream):
                    there.drop(lambda entry: not isinstance(entry, Point))
            self._change.notify_all()

    def drop(self, deployment: str, task_ids: Collection[str]) -> None:
        """One after the other."""
        with self._change:
            for task_id in task_ids:
                self._forget((deployment, task_id))

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """Noted with each piece."""
        of_attempt, ends = self._ends.get((deployment, task_id), (0, {}))
        return ends if of_attempt == attempt else {}

    def latest(self, deployment: str, task_ids: Sequence[str]) -> Mapping[str, Point]:
        """From the end of each list."""
        with self._change:
            lists = {task_id: self._lists.get((deployment, task_id), _List()) for task_id in task_ids}
            points = {task_id: there.points() for task_id, there in lists.items()}
        return {task_id: found[-1] for task_id, found in points.items() if found}

    @contextmanager
    def follow(self, deployment: str, task_id: str, *, points: bool = False) -> Iterator[Iterator[LiveEntry | None]]:
        """From the oldest entry on."""
        key = deployment, task_id
        with self._change:
            self._lists.setdefault(key, _List())
        entries = self._entries(key)
        yield entries if points else (entry for entry in entries if not isinstance(entry, Point))

    def tell(self, event: Event) -> None:
        """It is an entry where there is output or somebody follows. A task's first event forgets all before."""
        key = event.deployment, event.task_id
        with self._change:
            if event.seq == 0:
                self._forget(key)
            elif key in self._lists:
                self._lists[key].add(Event.from_json(event.to_json()))
                self._change.notify_all()

    def _forget(self, key: Key) -> None:
        self._lists.pop(key, None)
        self._ends.pop(key, None)

    def _entries(self, key: Key) -> Iterator[LiveEntry | None]:
        last = 0
        while True:
            with self._change:
                found = self._after(key, last) or (self._change.wait(self._idle) and self._after(key, last))
            for number, entry in found or ():
                last = number
                if entry is not None:
                    yield entry
            if not found:
                yield None

    def _after(self, key: Key, last: int) -> list[tuple[int, LiveEntry | None]]:
        entries = self._lists.setdefault(key, _List()).entries
        return [(number, entry) for number, entry in entries if number > last]
