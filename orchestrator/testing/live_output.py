"""Output that is followed, within one process."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import define, field

from orchestrator.ports import LiveEntry, Piece, Stream
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

    def size(self, stream: Stream) -> int:
        return sum(len(entry.data) for _, entry in self.entries if isinstance(entry, Piece) and entry.stream is stream)


class MemoryLiveOutput:
    """The LiveOutput of one process; ``idle`` is how long a follower waits before it yields None, in seconds."""

    def __init__(self, idle: float = 1.0) -> None:
        self._idle = idle
        self._change = threading.Condition()
        self._lists: dict[Key, _List] = {}
        self._ends: dict[Key, tuple[int, dict[Stream, int]]] = {}

    def append(self, deployment: str, pieces: Mapping[str, Sequence[Piece]], limit: int) -> None:
        """Add, then drop the oldest beyond the limit."""
        with self._change:
            for task_id, of_task in pieces.items():
                key = deployment, task_id
                entries = self._lists.setdefault(key, _List())
                for piece in of_task:
                    attempt, ends = self._ends.get(key, (0, {}))
                    if piece.attempt < attempt:
                        continue
                    kept = ends if piece.attempt == attempt else {}
                    self._ends[key] = piece.attempt, {**kept, piece.stream: piece.end}
                    entries.add(piece)
                while any(entries.size(stream) > limit for stream in Stream):
                    del entries.entries[0]
            self._change.notify_all()

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """Noted with each piece."""
        of_attempt, ends = self._ends.get((deployment, task_id), (0, {}))
        return ends if of_attempt == attempt else {}

    @contextmanager
    def follow(self, deployment: str, task_id: str) -> Iterator[Iterator[LiveEntry | None]]:
        """From the oldest entry on."""
        key = deployment, task_id
        with self._change:
            self._lists.setdefault(key, _List())
        yield self._entries(key)

    def tell(self, event: Event) -> None:
        """It is an entry where there is output or somebody follows. A task's first event forgets all before."""
        key = event.deployment, event.task_id
        with self._change:
            if event.seq == 0:
                self._lists.pop(key, None)
                self._ends.pop(key, None)
            elif key in self._lists:
                self._lists[key].add(Event.from_json(event.to_json()))
                self._change.notify_all()

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
