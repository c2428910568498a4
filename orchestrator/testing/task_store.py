"""The task documents in memory. Kept as BSON, so that dates, enums and what cannot be stored are as in MongoDB."""

import builtins
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import bson
from attrs import evolve
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from orchestrator.errors import CancelRequested, DuplicateTask, InvalidTask, Superseded
from orchestrator.ports import Counts, Free, Move, Origin, Part, Search
from orchestrator.ports.documents import (
    ACTIVE,
    BOUND,
    BULKY,
    FINAL,
    LARGEST,
    NAMING,
    STANDING,
    SWEPT,
    TIMED,
    age,
    beyond,
    changes,
    deletion_of,
    has_moved,
    has_token,
    is_applied,
    is_beginning,
    is_cancelled_before,
    is_held,
    is_removable,
    lease_of,
    leaves_no_room,
    row,
    too_large,
)
from orchestrator.task.codec import to_document
from orchestrator.task.document import UNKNOWN_OBJECTS
from orchestrator.task.values import LONGEST_LEASE, Document, Ending
from statemachine import INITIAL, TERMINAL, State

Changed = dict[str, Any]
_ZONED: CodecOptions[Changed] = CodecOptions(
    dict, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP, unicode_decode_error_handler="replace"
)


class MemoryTaskStore:
    """The TaskStore of one process; ``clock`` is the database's, in UTC."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._documents: dict[bytes, bytes] = {}
        self.database = f"database-{id(self)}"
        self._origin: Origin | None = None
        self._lock = threading.RLock()

    def prepare(self) -> None:
        """Nothing is missing."""

    def insert(self, document: Document) -> Document:
        """Add a task. Raises DuplicateTask, and InvalidTask when it cannot be stored as BSON."""
        with self._lock:
            if _key(document["_id"]) in self._documents:
                raise DuplicateTask("a task with this id exists already")
            return self._save(document)

    def insert_many(self, documents: Sequence[Document]) -> Sequence[Document | DuplicateTask | InvalidTask]:
        """One after the other."""
        return [self._inserted(document) for document in documents]

    def _inserted(self, document: Document) -> Document | DuplicateTask | InvalidTask:
        try:
            return self.insert(document)
        except (DuplicateTask, InvalidTask) as error:
            return error

    def find(self, task_id: str) -> Document | None:
        """The document, or None."""
        return self._load(task_id)

    def list(self, search: Search, limit: int) -> Sequence[Document]:
        """The newest of the wanted tasks, without their files and stdin."""
        found = sorted(self._some(lambda _: True), key=_place, reverse=True)
        if search.after is not None:
            ids = [document["_id"] for document in found]
            found = found[ids.index(search.after) + 1 :] if search.after in ids else []
        return [document for document in found if _is_wanted(document, search)][: max(limit, 0)]

    def counts(self) -> Counts:
        """A look at all of them."""
        statuses = [document.get("status") for document in self._some(lambda _: True)]
        return Counts({str(state): statuses.count(state) for state in State})

    def most_ended(self) -> int:
        """Memory is quick."""
        return 20_000

    def ended(self, since: datetime, limit: int) -> Sequence[Document]:
        """A look at all of them."""
        found = self._some(lambda document: isinstance(at := document.get("finished_at"), datetime) and at >= since)
        newest = sorted(found, key=lambda document: document["finished_at"], reverse=True)
        return [_only(document, TIMED) for document in newest[: max(limit, 0)]]

    def begun(self) -> Sequence[Document]:
        """By status."""
        return [_only(document, TIMED) for document in self._some(lambda document: document.get("status") in ACTIVE)]

    def ids(self, prefix: str, limit: int) -> Sequence[str]:
        """A look at all of them."""
        try:
            _key(prefix)
        except UnicodeEncodeError as error:
            raise InvalidTask([f"the document cannot be stored: {error}"]) from error
        everything = [document["_id"] for document in self._some(lambda _: True)]
        begins = [each for each in everything if isinstance(each, str) and prefix <= each < beyond(prefix)]
        return sorted(begins)[: max(limit, 0)]

    def claim(self, task_id: str, worker: str, token: str, ttl: float, engine: str | None = None) -> Document | None:
        """Take the lease when it is free, expired or ours already."""
        with self._lock:
            document = self._load(task_id)
            if document is None or document.get("status") in FINAL or not self._is_free(document, token):
                return None
            bound = document.get("engine")
            free = document.get("status") not in BOUND or not isinstance(bound, str) or not bound
            if engine is not None and not free and bound != engine:
                return None
            size = len(bson.encode(document))
            if leaves_no_room(document, size):
                raise too_large(size)
            again = lease_of(document).get("token") == token
            newly_bound = engine is not None and free
            binds = document["lease"].get("binds") is True if again else newly_bound
            document["lease"] = {"worker": worker, "token": token, "expires_at": self._after(ttl), "binds": binds}
            document["engine"] = engine or document.get("engine")
            if not isinstance(document.get("nonce"), str):
                document["nonce"] = token
            return self._save(document)

    def renew(self, tokens: Mapping[str, str], ttl: float) -> frozenset[str]:
        """Extend the leases."""
        return frozenset(task_id for task_id, token in tokens.items() if self._renew(task_id, token, ttl))

    def begin(self, task_id: str, token: str, container: str, ttl: float) -> bool:
        """In one write."""
        with self._lock:
            document = self._load(task_id)
            if document is None or document.get("status") != INITIAL or not has_token(document, token):
                return False
            lease = {**document["lease"], "expires_at": self._after(ttl)}
            return is_beginning(self._save({**document, "lease": lease, "starting": container}), token, container)

    def note_input(self, task_id: str, token: str, container: str, *, whole: bool) -> None:
        """In one write."""
        noted = {"container": container, "whole": whole}
        kept = {**noted, "whole": True}
        self._change(task_id, {"input": noted}, lambda document: is_held(document, token) and document.get("input") != kept)

    def note_ending(self, task_id: str, token: str, ending: Ending) -> None:
        """In one write."""
        self._change(task_id, to_document({"ending": ending}), lambda document: is_held(document, token))

    def note_parts(self, task_id: str, token: str, key: str) -> None:
        """In one write."""
        with self._lock:
            document = self._load(task_id)
            if document is None or not is_held(document, token):
                raise Superseded(f"task {task_id} was taken over by another worker")
            begun = document.get("parts_begun")
            keys = begun if isinstance(begun, builtins.list) else []
            self._save({**document, "parts_begun": keys if key in keys else [*keys, key]})

    def let_go(self, task_id: str, token: str, *, unbind: bool = False) -> None:
        """Free the lease; of a bound task it ends now, with no token."""
        with self._lock:
            document = self._load(task_id)
            if document is not None and is_held(document, token):
                untouched = not document.get("starting") and has_moved(document, 0)
                unbound = unbind and untouched and lease_of(document).get("binds") is True
                over = {**lease_of(document), "token": "", "expires_at": self.now()}
                bound = not unbound and _is_bound(document)
                self._save({**document, "lease": over if bound else None, **({"engine": None} if unbound else {})})

    def advance(self, move: Move) -> Document:
        """Compare-and-set on ``_id``, status, seq and token."""
        with self._lock:
            document = self._load(move.task_id)
            if document is not None and is_cancelled_before(document, move):
                raise CancelRequested(f"task {move.task_id} is to be cancelled")
            if document is not None and self._is_expected(document, move):
                self._apply(document, move)
            if document is None or not is_applied(document, move):
                raise Superseded(f"task {move.task_id} was moved or taken over by another worker")
            return document

    def reset(self, task_id: str) -> None:
        """In place."""
        with self._lock:
            document = self._load(task_id)
            if document is not None and document.get("status") not in FINAL and self._is_free(document, token=""):
                created = document.get("created_at")
                dated = created if isinstance(created, datetime) else None
                bare = {"_id": document["_id"], "status": str(INITIAL), "created_at": dated}
                self._save({**bare, "objects_named": UNKNOWN_OBJECTS})

    def settle(self, task_id: str, nonce: object, seq: int) -> None:
        """Set ``published`` and ``settled``."""
        self._change(task_id, {"published": seq, "settled": True}, partial(_may_be_settled, nonce, seq))

    def request_cancel(self, task_id: str) -> Document | None:
        """Set the time once."""
        now = {"cancel_requested_at": self._clock()}
        self._change(task_id, now, lambda document: document.get("status") not in FINAL and not _is_cancelled(document))
        return self._load(task_id)

    def cancelled(self, task_ids: Collection[str]) -> frozenset[str]:
        """One look at all of them."""
        return frozenset(task_id for task_id in task_ids if _is_cancelled(self._load(task_id) or {}))

    def now(self) -> datetime:
        """The clock's time."""
        return self._clock()

    def active(self, free: Free | None = None) -> Sequence[Document]:
        """By status."""
        return self._free(lambda document: document.get("status") in ACTIVE, free, _engine)

    def bound(self, free: Free) -> Sequence[Document]:
        """By status."""
        return self._free(lambda document: document.get("status") == INITIAL and _is_bound(document), free, _engine)

    def waiting(self, limit: int, free: Free | None = None) -> Sequence[Document]:
        """By status."""
        unbound = self._free(
            lambda document: document.get("status") == INITIAL and (free is None or not _is_bound(document)), free, _engine
        )
        return unbound[:limit]

    def unsettled(self, limit: int, free: Free | None = None) -> Sequence[Document]:
        """By the mark."""
        return self._free(lambda document: document.get("settled") is False, free, _home)[:limit]

    def standing(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        """One look at each."""
        return self._looked_up(task_ids, STANDING)

    def naming(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        """One look at each."""
        return self._looked_up(task_ids, NAMING)

    def mark_deleting(self, nonces: Mapping[str, object], token: str) -> None:
        """One after the other."""
        for task_id, nonce in nonces.items():
            mark = {"deleting": {"token": token, "at": self.now()}}
            self._change(task_id, mark, partial(_may_be_marked, nonce))

    def deleting(self, limit: int) -> Sequence[Document]:
        """By the mark."""
        found = self._spare(lambda document: deletion_of(document) is not None and document.get("status") in FINAL)
        return sorted(found, key=lambda document: document["deleting"]["at"])[: max(limit, 0)]

    def delete(self, tokens: Mapping[str, str]) -> None:
        """One after the other."""
        for task_id, token in tokens.items():
            with self._lock:
                document = self._load(task_id)
                if document is not None and deletion_of(document) == token:
                    del self._documents[_key(task_id)]

    def expired(self, before: datetime, limit: int) -> Sequence[Document]:
        """By the end."""
        return self._ended(lambda document: _ended_before(before, document), limit)

    def outlived(self, now: datetime, limit: int) -> Sequence[Document]:
        """By the task's own time."""
        found = self._spare(lambda document: document.get("settled") is True and _is_before(document.get("keep_until"), now))
        times = {each["_id"]: (self._load(each["_id"]) or {})["keep_until"] for each in found}
        return sorted(found, key=lambda document: times[document["_id"]])[: max(limit, 0)]

    def with_output(self, part: Part, since: datetime | None, before: datetime, limit: int) -> Sequence[Document]:
        """Likewise."""

        def wanted(document: Document) -> bool:
            early = since is not None and _ended_before(since, document)
            return _ended_before(before, document) and not early and document.get(f"{part}_removed_at") is None

        return self._ended(wanted, limit)

    def note_removed(self, part: Part, nonces: Mapping[str, object]) -> None:
        """One after the other."""
        for task_id, nonce in nonces.items():
            self._change(task_id, {f"{part}_removed_at": self.now()}, partial(_is_settled, nonce))

    def deployment(self) -> str:
        """One for each store."""
        with self._lock:
            self._origin = self._origin or Origin(uuid.uuid4().hex, self.database, self.database)
            return self._origin.id

    def origin(self) -> Origin:
        """As noted, with the present ``database``, which a test may change."""
        return evolve(self._origin or Origin(""), database=self.database)

    def settle_in(self, deployment: str, former: Collection[str] = ()) -> None:
        """Note it."""
        self._origin = Origin(deployment, self.database, self.database, self.origin().former | {*former})

    def go_on_as(self, deployment: str, former: Collection[str] = ()) -> None:
        """Note it beside the database that is noted."""
        self.deployment()
        home = self._origin.home if self._origin else ""
        self._origin = Origin(deployment, self.database, home, self.origin().former | {*former})

    def _some(self, wanted: Callable[[Document], bool]) -> builtins.list[Changed]:
        """Oldest first, without what is bulky."""
        with self._lock:
            everything = [bson.decode(stored, _ZONED) for stored in self._documents.values()]
        found = sorted(filter(wanted, everything), key=age)
        return [{name: value for name, value in document.items() if name not in BULKY} for document in found]

    def _looked_up(self, task_ids: Collection[str], names: Iterable[str]) -> Mapping[str, Document]:
        found = {task_id: self._load(task_id) for task_id in task_ids}
        return {task_id: _only(document, names) for task_id, document in found.items() if document is not None}

    def _spare(self, wanted: Callable[[Document], bool]) -> builtins.list[Changed]:
        found = self._some(lambda document: isinstance(document["_id"], str) and wanted(document))
        return [{name: document[name] for name in ("_id", *STANDING) if name in document} for document in found]

    def _ended(self, wanted: Callable[[Document], bool], limit: int) -> Sequence[Document]:
        usual = {"settled": True, "keep_until": None}
        found = self._spare(lambda each: usual == {name: each.get(name) for name in usual} and wanted(each))
        return sorted(found, key=lambda document: document["finished_at"])[: max(limit, 0)]

    def _free(
        self, wanted: Callable[[Document], bool], free: Free | None, engine: Callable[[Document], object]
    ) -> Sequence[Document]:
        found = self._some(wanted)
        if free is not None:
            found = [each for each in found if free.is_free(lease_of(each).get("expires_at"), engine(each))]
            found.sort(key=lambda each: free.is_elsewhere(engine(each)))
        return [_only(document, SWEPT) for document in found]

    def _change(self, task_id: str, changes: Document, wanted: Callable[[Document], bool]) -> None:
        with self._lock:
            document = self._load(task_id)
            if document is not None and wanted(document):
                self._save({**document, **changes})

    def _is_free(self, document: Document, token: str) -> bool:
        lease = lease_of(document)
        expires = lease.get("expires_at")
        held = isinstance(expires, datetime) and self._clock() < expires <= self._after(LONGEST_LEASE)
        return lease.get("token") == token or not held

    def _renew(self, task_id: str, token: str, ttl: float) -> bool:
        with self._lock:
            document = self._load(task_id)
            if document is None or not has_token(document, token):
                return False
            if is_held(document, token):
                self._save({**document, "lease": {**document["lease"], "expires_at": self._after(ttl)}})
            return True

    @staticmethod
    def _is_expected(document: Document, move: Move) -> bool:
        same = (document.get("status"), lease_of(document).get("token")) == (move.entry.source, move.token)
        return same and has_moved(document, move.entry.seq - 1)

    def _apply(self, document: Changed, move: Move) -> None:
        history = document.get("history")
        document |= changes(move)
        document["history"] = [*(history if isinstance(history, list) else []), row(move)]
        if move.entry.status in TERMINAL:
            document["lease"]["expires_at"] = self._clock()
        document |= self._save(document)

    def _after(self, ttl: float) -> datetime:
        return self._clock() + timedelta(seconds=ttl)

    def _load(self, task_id: str) -> Changed | None:
        stored = self._documents.get(_key(task_id))
        return None if stored is None else bson.decode(stored, _ZONED)

    def _save(self, document: Document) -> Changed:
        try:
            stored = bson.encode(document)
        except (BSONError, OverflowError, UnicodeEncodeError, RecursionError) as error:
            raise InvalidTask([f"the document cannot be stored: {error}"]) from error
        if len(stored) > LARGEST:
            raise too_large(len(stored))
        self._documents[_key(document["_id"])] = stored
        return bson.decode(stored, _ZONED)


def _may_be_settled(nonce: object, seq: int, document: Document) -> bool:
    same = document.get("nonce") == nonce and (not seq or document.get("seq") == seq)
    return same and document.get("status") in FINAL


def _may_be_marked(nonce: object, document: Document) -> bool:
    return is_removable(document) and document.get("nonce") == nonce and document.get("deleting") is None


def _is_settled(nonce: object, document: Document) -> bool:
    return document.get("settled") is True and document.get("nonce") == nonce


def _ended_before(before: datetime, document: Document) -> bool:
    return _is_before(document.get("finished_at"), before)


def _is_before(at: object, before: datetime) -> bool:
    return isinstance(at, datetime) and at < before


def _engine(document: Document) -> object:
    return document.get("engine")


def _home(document: Document) -> object:
    container = document.get("container")
    return container.get("engine") if isinstance(container, Mapping) else None


def _is_bound(document: Document) -> bool:
    bound = document.get("engine")
    return isinstance(bound, str) and bound != ""


def _only(document: Document, names: Iterable[str]) -> Document:
    return {name: document[name] for name in ("_id", *names) if name in document}


def _key(task_id: object) -> bytes:
    """Ids of any type that the database takes are told apart, as it does."""
    return bson.encode({"_id": task_id})


def _is_cancelled(document: Document) -> bool:
    return document.get("cancel_requested_at") is not None


def _place(document: Document) -> tuple[object, str]:
    """Where the task is in a list, from its end."""
    return age(document), str(document["_id"])


def _is_wanted(document: Document, search: Search) -> bool:
    at, labels = document.get("created_at"), document.get("labels")
    asked = {"status": search.status, "cause": search.cause, "image": search.image}
    return (
        document.get("deleting") is None
        and all(value is None or document.get(name) == value for name, value in asked.items())
        and search.labels.items() <= (labels if isinstance(labels, dict) else {}).items()
        and (search.since is None or (isinstance(at, datetime) and at >= search.since))
        and (search.until is None or (isinstance(at, datetime) and at < search.until))
    )
