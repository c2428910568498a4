"""Where the task documents are kept."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from orchestrator.errors import DuplicateTask, InvalidTask
from orchestrator.task.values import LONGEST_LEASE, Document, Ending, Entry, Fields


@frozen
class Move:
    """One transition to be stored, for compare-and-set: it applies only to the task as its holder last read it.

    ``token`` is the holder's lease token; ``entry.source`` and ``entry.seq - 1`` are the status and seq that must be stored.
    ``unless_cancelled`` makes it apply only while nobody has asked for the task to be cancelled. ``before`` is the document as
    the holder knows it; None: it wants to see the whole document after the move.
    """

    task_id: str
    token: str
    entry: Entry
    fields: Fields
    unless_cancelled: bool = False
    before: Document | None = field(default=None, eq=False, repr=False)


@frozen
class Free:
    """Tasks that nobody holds at a time of the database's clock, as the sweep of an engine looks for them.

    Those of other engines count once nobody has held them for ``patience`` seconds. The store filters, so that tasks which are
    held, or seem so, do not stand before those that wait for the sweep. A lease that no worker can have taken holds nothing.
    """

    now: datetime
    engine: str
    patience: float

    def is_elsewhere(self, engine: object) -> bool:
        """Whether the task is bound to another engine."""
        return isinstance(engine, str) and engine not in {"", self.engine}

    def is_free(self, expires_at: object, engine: object) -> bool:
        """Whether a task with this lease and engine is one of them."""
        after, until = self.held(elsewhere=self.is_elsewhere(engine))
        return not (isinstance(expires_at, datetime) and after < expires_at <= until)

    def held(self, *, elsewhere: bool) -> tuple[datetime, datetime]:
        """After which time and until which one a lease expires that holds a task."""
        return self.now - timedelta(seconds=self.patience * elsewhere), self.now + timedelta(seconds=LONGEST_LEASE)


@frozen
class Origin:
    """Whose database answers: the ``id`` of the deployment; empty when it has none yet.

    ``database`` is the server's own id of this database, ``home`` the one that it had when ``id`` was noted in it; empty where
    the server does not tell. ``former`` are ids that this deployment had before, or whose database is known to be lost.
    """

    id: str
    database: str = ""
    home: str = ""
    former: frozenset[str] = frozenset()

    @property
    def is_copy(self) -> bool:
        """Whether the id was noted in another database, of which this one is a copy."""
        return bool(self.database and self.home) and self.database != self.home


@frozen
class Search:
    """Which tasks are wanted. What is None, or empty, does not matter; of several labels a task must have all."""

    status: str | None = None
    cause: str | None = None
    image: str | None = None
    labels: Mapping[str, str] = field(factory=dict)
    since: datetime | None = None
    """Only tasks that were created at this time or later."""
    after: str | None = None
    """The id of a task: only those that follow it in the order of the list. Of an unknown one nothing follows."""
    until: datetime | None = None
    """Only tasks that were created before this time."""


@frozen
class Counts:
    """How many tasks have each of the seven statuses; of those with a status in ``more`` there are more than told."""

    by_status: Mapping[str, int]
    more: frozenset[str] = frozenset()


class Part(StrEnum):
    """What object storage has of a task and may be removed before the task; the value begins the names of its fields."""

    LOGS = "logs"
    ARTIFACTS = "artifacts"


class TaskStore(Protocol):
    """The task documents."""

    def prepare(self) -> None:
        """Make the indexes that are missing."""

    def insert(self, document: Document) -> Document:
        """Add a task; the document as it is stored. Raises DuplicateTask when its ``_id`` is taken, and InvalidTask."""

    def insert_many(self, documents: Sequence[Document]) -> Sequence[Document | DuplicateTask | InvalidTask]:
        """The same for many tasks, in their order: the document of each as it is stored, or what stands against it.

        After an InfrastructureError some of them may be stored.
        """

    def find(self, task_id: str) -> Document | None:
        """The document as stored, datetimes with a time zone; None when there is none."""

    def list(self, search: Search, limit: int) -> Iterable[Document]:
        """The newest of the wanted tasks, at most ``limit``, without their files and stdin: by ``created_at``, then by id.

        Those that are being deleted are left out, and the next ones take their places.
        """

    def counts(self) -> Counts:
        """How many tasks there are by status. A store that has to read what it counts stops where ``ended`` would."""

    def most_ended(self) -> int:
        """How many tasks ``ended`` can be asked for when somebody waits for the answer: that they take well below a second."""

    def ended(self, since: datetime, limit: int) -> Sequence[Document]:
        """Status, cause, times and metrics of the tasks that ended at ``since`` or later, at most ``limit``; last end first."""

    def begun(self) -> Sequence[Document]:
        """The same of the tasks that are running, collecting or uploading."""

    def ids(self, prefix: str, limit: int) -> Sequence[str]:
        """The ids that are strings and begin so, by code points, at most ``limit``; the prefix itself is first if it is one.

        Raises InvalidTask for text that is in no id because it cannot be stored.
        """

    def claim(self, task_id: str, worker: str, token: str, ttl: float, engine: str | None = None) -> Document | None:
        """Take the lease of a task that is not terminal and whose lease is free or has expired, by the database's clock.

        With ``engine`` the attempt is bound to that engine. A task bound to another engine cannot be claimed. Returns the
        document with the lease in it, or None when the task is unknown, terminal, bound elsewhere or held by another token.
        Repeating it with the same token returns the document again, so a lost reply is harmless. The first claim gives the
        document a ``nonce``, its token, unless it has one. Raises InvalidTask for a queued document that leaves no room for
        what the worker writes; then it is not held.
        """

    def renew(self, tokens: Mapping[str, str], ttl: float) -> frozenset[str]:
        """Extend the leases {task id: token}; returns the ids still held. An expired lease that nobody took is still held."""

    def begin(self, task_id: str, token: str, container: str, ttl: float) -> bool:
        """Extend the lease of a queued task and store, in the same write, which container is about to be started.

        False, changing nothing, when the task is not queued or not held with this token.
        """

    def note_input(self, task_id: str, token: str, container: str, *, whole: bool) -> None:
        """Store what became of the stdin of this container; nothing when the task is not held with this token.

        That it is whole is never taken back.
        """

    def note_ending(self, task_id: str, token: str, ending: Ending) -> None:
        """Store that a container's program is about to get a signal; nothing when the task is not held with this token."""

    def note_parts(self, task_id: str, token: str, key: str) -> None:
        """Add the key to ``parts_begun``, once: an object is about to be begun in parts.

        Raises Superseded, changing nothing, when the task is not held with this token.
        """

    def let_go(self, task_id: str, token: str, *, unbind: bool = False) -> None:
        """Free the lease at once, so that another worker may claim the task; nothing when it is not held with this token.

        A task that is bound to an engine keeps when that was: other engines' workers wait from then on.

        With ``unbind`` a task that has not moved, and nothing of which was about to be started, is bound to no engine again, if
        it was to none before it was claimed.
        """

    def advance(self, move: Move) -> Document:
        """Compare-and-set: store the new status, seq, fields and history row in one write and return the document after it.

        With ``move.before`` it may be made from that: then it lacks what others have stored meanwhile, as a request to cancel.
        Raises Superseded, changing nothing, unless status, seq and lease token are as ``move`` expects, and CancelRequested
        when only ``unless_cancelled`` stands against it. A repeat of a move that is already stored returns the document. A
        terminal status frees the lease and marks the task as not settled. Raises InvalidTask when it would be too large.
        """

    def reset(self, task_id: str) -> None:
        """Leave nothing of a document that cannot be read or is too large but its id and ``created_at``, queued.

        It has UNKNOWN_OBJECTS, so that it never claims to name all objects of the task.
        Nothing when somebody holds it, or when it is terminal.
        """

    def settle(self, task_id: str, nonce: object, seq: int) -> None:
        """Note that all events of a terminal task, up to ``seq``, are published and that nothing of it is left to release.

        The nonce is whatever is stored, None for none; ``seq`` is 0 for a document that cannot be read. Nothing is noted when
        the task has another nonce or, unless it is 0, another ``seq``: it is another task that has the id since.
        """

    def request_cancel(self, task_id: str) -> Document | None:
        """Note when it was first asked to cancel a task that is not terminal; the document afterwards, None if unknown."""

    def cancelled(self, task_ids: Collection[str]) -> frozenset[str]:
        """Those of the tasks for which cancellation was requested."""

    def now(self) -> datetime:
        """The database's clock."""

    def active(self, free: Free | None = None) -> Iterable[Document]:
        """The tasks that are running, collecting or uploading; of each what a sweep looks at, read one after the other.

        Those that were created first come first. With ``free`` only such tasks, and then those of other engines come last.
        """

    def bound(self, free: Free) -> Iterable[Document]:
        """The queued tasks that are bound to an engine, likewise."""

    def waiting(self, limit: int, free: Free | None = None) -> Iterable[Document]:
        """The queued tasks that were created first, likewise; with ``free`` only such that are bound to no engine."""

    def unsettled(self, limit: int, free: Free | None = None) -> Iterable[Document]:
        """Terminal tasks that are not settled, likewise; the engine of these is the one that has their container."""

    def standing(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        """Status, attempt, cause, logs and nonce of those of the tasks that there are, by id."""

    def naming(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        """What tells which objects these tasks have, by id, and their nonces and marks."""

    def mark_deleting(self, nonces: Mapping[str, object], token: str) -> None:
        """Note with ``token`` that the tasks {id: nonce} are being deleted; the nonce is whatever is stored, None for none.

        Compare-and-set: a task that is not terminal, is not settled, has another nonce or is marked already stays as it is.
        A marked task is in no list, and its id is taken until ``delete``.
        """

    def deleting(self, limit: int) -> Iterable[Document]:
        """What ``standing`` tells of the marked tasks whose ids are strings, at most ``limit``; first marked first."""

    def delete(self, tokens: Mapping[str, str]) -> None:
        """Delete the documents {id: token} that are marked with their token. Their ids are free then."""

    def expired(self, before: datetime, limit: int) -> Iterable[Document]:
        """What ``standing`` tells of the settled tasks that ended before this time, at most ``limit``; first ended first.

        Only tasks whose ids are strings, and that have no ``keep_until`` of their own.
        """

    def outlived(self, now: datetime, limit: int) -> Iterable[Document]:
        """The same of settled tasks whose ``keep_until`` is before this time, at most ``limit``; in the order of that."""

    def with_output(self, part: Part, since: datetime | None, before: datetime, limit: int) -> Iterable[Document]:
        """The same of the tasks that ended at ``since`` or later, and whose logs, or artifacts, are not noted as removed."""

    def note_removed(self, part: Part, nonces: Mapping[str, object]) -> None:
        """Note that the logs, or artifacts, of these settled tasks {id: nonce} were removed, and when."""

    def deployment(self) -> str:
        """An id of this database, made when it is first asked for: tells its containers from those of other deployments.

        With the id it is noted which database it was made in; a copy of that one has the same id.
        """

    def origin(self) -> Origin:
        """What is noted about the deployment, as it is now."""

    def settle_in(self, deployment: str, former: Collection[str] = ()) -> None:
        """Note that this database is the deployment's own, and that it goes on for the ``former`` ones."""

    def go_on_as(self, deployment: str, former: Collection[str] = ()) -> None:
        """Note the id and the ``former`` ones; a copy stays a copy."""
