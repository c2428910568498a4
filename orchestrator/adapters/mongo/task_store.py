"""The task documents in MongoDB. Compare-and-set is one update of one ``_id``.

If it matches nothing, the document is read and judged. ``find_one_and_update`` is not used: SecantusDB scans for it.

Leases run on the database's clock (``$$NOW``). No filter has an operator at its top level: SecantusDB, which has only the index
of ``_id`` for it, would scan the collection. So the condition of a claim is in its update.
"""

import uuid
from collections.abc import Collection as Group
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, timeout
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from orchestrator.adapters.mongo.client import async_mongo_client, mongo_client
from orchestrator.adapters.mongo.errors import refusals, translated
from orchestrator.adapters.mongo.listing import LIST_INDEXES, UNDATED_INDEX, counted, ended, label_index, listed
from orchestrator.adapters.mongo.stages import (
    EXPIRED,
    UNBOUND,
    Stage,
    by,
    elsewhere,
    elsewhere_not,
    expiry,
    setting,
    unheld,
)
from orchestrator.adapters.per_process import PerProcess
from orchestrator.errors import CancelRequested, DuplicateTask, InvalidTask, Superseded
from orchestrator.ports import Counts, Free, Move, Origin, Part, Search
from orchestrator.ports.documents import (
    ACTIVE,
    BOUND,
    FINAL,
    LARGEST,
    NAMING,
    STANDING,
    SWEPT,
    TIMED,
    beyond,
    changes,
    has_token,
    is_applied,
    is_beginning,
    is_cancelled_before,
    is_held,
    leaves_no_room,
    moved,
    row,
    too_large,
)
from orchestrator.settings.settings import Settings
from orchestrator.task.codec import to_document
from orchestrator.task.document import UNKNOWN_OBJECTS
from orchestrator.task.values import Document, Ending
from statemachine import INITIAL, TERMINAL, State

_ZONED: CodecOptions[Stage] = CodecOptions(dict, tz_aware=True)
_ALIVE = {"$nin": FINAL}
_NEVER_MOVED = {"history.0": {"$exists": False}}
_OLDEST_FIRST = [("created_at", 1)]
_FIRST_ENDED, _FIRST_MARKED = [("finished_at", 1)], [("deleting.at", 1)]
_SETTLED = {"settled": True}
_EVER = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}
_BATCH = 100
_INDEXING = 300.0
"""Seconds for all indexes together."""
_DEPLOYMENT = {"_id": "deployment"}
_BINDS = {"$and": [{"$eq": [{"$type": "$engine"}, "string"]}, {"$in": ["$status", BOUND]}]}
_ENGINE = {"$cond": [_BINDS, "$engine", ""]}
_HISTORY = {"$cond": [{"$isArray": "$history"}, "$history", []]}
_PARTS = {"$cond": [{"$isArray": "$parts_begun"}, "$parts_begun", []]}


class MongoTaskStore:
    """The TaskStore on MongoDB, or on a server with its protocol; collection ``tasks``."""

    def __init__(self, settings: Settings) -> None:
        self._client = PerProcess(lambda: mongo_client(settings))
        self._database = settings.mongo_db_name
        self._labels = settings.label_indexes

    def prepare(self) -> None:
        """Make the missing indexes: for lists, for the sweep and for retention. Many tasks take their time, once it answers."""
        with translated():
            self._client().admin.command("ping")
        with translated(), timeout(_INDEXING):
            for keys in (*LIST_INDEXES, *map(label_index, self._labels)):
                self._tasks.create_index([*keys])
            self._tasks.create_index(**UNDATED_INDEX)
            self._tasks.create_index([("settled", 1), *_OLDEST_FIRST], partialFilterExpression={"settled": False})
            for noted in ([], *([(f"{part}_removed_at", 1)] for part in Part)):
                keys = [("settled", 1), *noted, ("keep_until", 1), *_FIRST_ENDED]
                self._tasks.create_index(keys, partialFilterExpression=_SETTLED)
            self._tasks.create_index(_FIRST_MARKED, sparse=True)

    def insert(self, document: Document) -> Document:
        """Add a task. Raises DuplicateTask, and InvalidTask when it cannot be stored as BSON."""
        with translated():
            stored = self._encoded(document)
            self._tasks.insert_one(stored)
            return self._decoded(stored)

    def insert_many(self, documents: Sequence[Document]) -> Sequence[Document | DuplicateTask | InvalidTask]:
        """In one write. One that cannot be stored is found before it is sent."""
        results: list[Document | DuplicateTask | InvalidTask] = []
        sent: dict[int, RawBSONDocument] = {}
        for number, document in enumerate(documents):
            try:
                with translated():
                    sent[number] = self._encoded(document)
                    results.append(self._decoded(sent[number]))
            except InvalidTask as error:
                results.append(error)
        numbers = [*sent]
        for place, refusal in self._refused([*sent.values()]):
            results[numbers[place]] = refusal
        return results

    def _refused(self, documents: Sequence[RawBSONDocument]) -> Iterator[tuple[int, DuplicateTask | InvalidTask]]:
        """Insert these documents; the place of each that is refused, and why."""
        try:
            with translated(bulk=True):
                if documents:
                    self._tasks.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            yield from refusals(error)

    def _encoded(self, document: Document) -> RawBSONDocument:
        """Raises the library's errors, and InvalidTask for a document that is too large."""
        stored = bson.encode(document, codec_options=self._client().codec_options)
        if len(stored) > LARGEST:
            raise too_large(len(stored))
        return RawBSONDocument(stored)

    def _as_stored(self, values: Stage) -> Stage:
        """The values as they are read."""
        options = self._client().codec_options
        return dict(bson.decode(bson.encode(values, codec_options=options), options))

    def _decoded(self, stored: RawBSONDocument) -> Document:
        return bson.decode(stored.raw, self._client().codec_options)

    def find(self, task_id: str) -> Document | None:
        """The document, or None."""
        with translated():
            return self._tasks.find_one(by(task_id))

    def list(self, search: Search, limit: int) -> Sequence[Document]:
        """The newest of the wanted tasks, without their files and stdin."""
        last = None if search.after is None else self.find(search.after)
        if search.after is not None and last is None:
            return []
        with translated():
            return listed(self._tasks, search, limit, last)

    def counts(self) -> Counts:
        """By the index. SecantusDB would read every document, so there it is as many as can be read while somebody waits."""
        with translated():
            if not self._reads_to_count:
                return Counts({str(state): self._tasks.count_documents({"status": str(state)}) for state in State})
            return counted(self._tasks, self.most_ended())

    def most_ended(self) -> int:
        """SecantusDB takes some 20 to 40 µs for each."""
        with translated():
            return 500 if self._reads_to_count else 20_000

    @cached_property
    def _reads_to_count(self) -> bool:
        return "secantusVersion" in self._client().server_info()

    def ended(self, since: datetime, limit: int) -> Sequence[Document]:
        """By the index."""
        with translated():
            return ended(self._tasks, since, limit)

    def begun(self) -> Sequence[Document]:
        """By status."""
        with translated():
            return [*self._tasks.find({"status": {"$in": ACTIVE}}, dict.fromkeys(TIMED, 1))]

    def ids(self, prefix: str, limit: int) -> Sequence[str]:
        """A range of the index of ``_id``: strings are compared byte by byte, and UTF-8 has the order of code points."""
        if limit < 1:  # MongoDB takes 0 for no limit
            return []
        begins = {"_id": {"$gte": prefix, "$lt": beyond(prefix)}}
        with translated():
            return [each["_id"] for each in self._tasks.find(begins, {"_id": 1}, sort=[("_id", 1)], limit=limit)]

    def claim(self, task_id: str, worker: str, token: str, ttl: float, engine: str | None = None) -> Document | None:
        """Take the lease if it is free, expired, or has this token already."""
        again = {"$eq": ["$lease.token", {"$literal": token}]}
        free = {"$or": [EXPIRED, again]}
        if engine is not None:
            free = {"$and": [free, {"$in": [_ENGINE, ["", {"$literal": engine}]]}]}
        binds = {"$cond": [again, "$lease.binds", {"$and": [{"$literal": engine is not None}, {"$eq": [_ENGINE, ""]}]}]}
        holder = {"$literal": {"worker": worker, "token": token}}
        lease = {"$mergeObjects": [holder, expiry("expires_at", ttl), {"binds": binds}]}
        nonce = {"$cond": [{"$eq": [{"$type": "$nonce"}, "string"]}, "$nonce", {"$literal": token}]}
        values = {"lease": {"$cond": [free, lease, "$lease"]}, "nonce": {"$cond": [free, nonce, "$nonce"]}}
        if engine is not None:
            values["engine"] = {"$cond": [free, {"$literal": engine}, "$engine"]}
        with translated():
            self._tasks.update_one({**by(task_id), "status": _ALIVE}, setting(values))
        document = self.find(task_id)
        if document is None or not is_held(document, token) or engine not in (None, document.get("engine")):
            return None
        with translated():
            size = len(bson.encode(document))
        if leaves_no_room(document, size):
            self.let_go(task_id, token)
            raise too_large(size)
        return document

    def renew(self, tokens: Mapping[str, str], ttl: float) -> frozenset[str]:
        """Extend the leases in one write. If one is lost, a second request finds out which.

        A token belongs to one task, so ids and tokens need no pairing in the filter.
        """
        ours = {"_id": {"$in": [*tokens]}, "lease.token": {"$in": [*tokens.values()]}, "status": _ALIVE}
        with translated():
            if self._tasks.update_many(ours, setting(expiry("lease.expires_at", ttl))).matched_count == len(tokens):
                return frozenset(tokens)
            found = [*self._tasks.find({"_id": ours["_id"]}, {"lease": 1})]
        return frozenset(document["_id"] for document in found if has_token(document, tokens.get(document["_id"], "")))

    def begin(self, task_id: str, token: str, container: str, ttl: float) -> bool:
        """In one write. Only the deciding fields of the document are read back."""
        ours = {"_id": task_id, "lease.token": token, "status": str(INITIAL)}
        values = {**expiry("lease.expires_at", ttl), "starting": {"$literal": container}}
        with translated():
            if self._tasks.update_one(ours, setting(values)).matched_count:
                return True
            found = self._tasks.find_one({"_id": task_id}, {"lease": 1, "status": 1, "starting": 1})
        return found is not None and is_beginning(found, token, container)

    def note_input(self, task_id: str, token: str, container: str, *, whole: bool) -> None:
        """In one write."""
        noted = {"container": container, "whole": whole}
        kept = {"$eq": ["$input", {"$literal": {**noted, "whole": True}}]}
        with translated():
            self._tasks.update_one(_held(task_id, token), setting({"input": {"$cond": [kept, "$input", {"$literal": noted}]}}))

    def note_ending(self, task_id: str, token: str, ending: Ending) -> None:
        """In one write."""
        with translated():
            self._tasks.update_one(_held(task_id, token), {"$set": to_document({"ending": ending})})

    def note_parts(self, task_id: str, token: str, key: str) -> None:
        """In one write. It is a pipeline, because the field may be null or missing."""
        one = [{"$literal": key}]
        keys = {"$cond": [{"$in": [{"$literal": key}, _PARTS]}, _PARTS, {"$concatArrays": [_PARTS, one]}]}
        with translated():
            matched = self._tasks.update_one(_held(task_id, token), setting({"parts_begun": keys})).matched_count
        if not matched:
            raise Superseded(f"task {task_id} was taken over by another worker")

    def let_go(self, task_id: str, token: str, *, unbind: bool = False) -> None:
        """Free the lease, or end it without a token. The unbound case comes first: then the second write finds no document."""
        held = _held(task_id, token)
        over = {"$mergeObjects": ["$lease", {"token": ""}, expiry("expires_at", 0)]}
        with translated():
            if unbind:
                untouched = {**held, "lease.binds": True, "starting": {"$in": [None, ""]}, **_NEVER_MOVED}
                self._tasks.update_one(untouched, {"$set": {"lease": None, "engine": None}})
            self._tasks.update_one(held, setting({"lease": {"$cond": [{"$eq": [_ENGINE, ""]}, None, over]}}))

    def advance(self, move: Move) -> Document:
        """Compare-and-set on ``_id``, status, seq and token.

        It is a pipeline, because history may be null in a document of another program.
        """
        before = move.entry.seq - 1
        expected: Stage = {
            **by(move.task_id),
            "status": str(move.entry.source),
            "lease.token": move.token,
            **({"seq": before} if before > 0 else _NEVER_MOVED),
        }
        if move.unless_cancelled:
            expected["cancel_requested_at"] = None
        changed, last = changes(move), row(move)
        values: Stage = {name: {"$literal": value} for name, value in changed.items()}
        values["history"] = {"$concatArrays": [_HISTORY, [{"$literal": last}]]}
        if move.entry.status in TERMINAL:
            values["lease.expires_at"] = "$$NOW"
        with translated():
            matched = self._tasks.update_one(expected, setting(values)).matched_count
        if matched and move.before is not None:
            return moved(move.before, **self._as_stored({"changed": changed, "last": last}))
        document = self.find(move.task_id)
        if document is not None and is_cancelled_before(document, move):
            raise CancelRequested(f"task {move.task_id} is to be cancelled")
        if document is None or not is_applied(document, move):
            raise Superseded(f"task {move.task_id} was moved or taken over by another worker")
        return document

    def reset(self, task_id: str) -> None:
        """In one write, judged by the server's clock."""
        dated = {"$cond": [{"$eq": [{"$type": "$created_at"}, "date"]}, "$created_at", None]}
        bare = {"_id": "$_id", "status": str(INITIAL), "created_at": dated, "objects_named": UNKNOWN_OBJECTS}
        with translated():
            self._tasks.update_one({**by(task_id), "status": _ALIVE}, [{"$replaceWith": {"$cond": [EXPIRED, bare, "$$ROOT"]}}])

    def settle(self, task_id: str, nonce: object, seq: int) -> None:
        """Set ``published`` and ``settled``."""
        same = {**by(task_id), "nonce": {"$eq": nonce}, **({"seq": seq} if seq else {})}
        with translated():
            self._tasks.update_one({**same, "status": {"$in": FINAL}}, {"$set": {"published": seq, "settled": True}})

    def request_cancel(self, task_id: str) -> Document | None:
        """Set the time if it is not set."""
        open_ = {**by(task_id), "status": _ALIVE, "cancel_requested_at": None}
        with translated():
            self._tasks.update_one(open_, setting({"cancel_requested_at": "$$NOW"}))
        return self.find(task_id)

    def cancelled(self, task_ids: Group[str]) -> frozenset[str]:
        """One request for all of them."""
        wanted = {"_id": {"$in": [*task_ids]}}
        with translated():
            found = [*self._tasks.find(wanted, {"cancel_requested_at": 1})]
        return frozenset(document["_id"] for document in found if document.get("cancel_requested_at") is not None)

    def now(self) -> datetime:
        """The server's time. Without an option, the answer of a command has naive dates."""
        with translated():
            return cast("datetime", self._client().admin.command("hello", codec_options=_ZONED)["localTime"])

    def active(self, free: Free | None = None) -> Iterator[Document]:
        """By status. ``free`` takes two requests, because one would need an operator at its top level."""
        query = {"status": {"$in": ACTIVE}}
        return self._some(query) if free is None else self._near_and_far(query, free, "engine", elsewhere_not(free))

    def bound(self, free: Free) -> Iterator[Document]:
        """By status."""
        return self._near_and_far({"status": str(INITIAL)}, free, "engine", free.engine)

    def waiting(self, limit: int, free: Free | None = None) -> Iterator[Document]:
        """By status."""
        query = {"status": str(INITIAL)} | ({} if free is None else {"engine": UNBOUND, **unheld(free, elsewhere=False)})
        return self._some(query, limit)

    def unsettled(self, limit: int, free: Free | None = None) -> Iterator[Document]:
        """By the index of unsettled tasks."""
        query = {"settled": False}
        if free is None:
            return self._some(query, limit)
        return islice(self._near_and_far(query, free, "container.engine", elsewhere_not(free)), limit)

    def standing(self, task_ids: Group[str]) -> Mapping[str, Document]:
        """In one query."""
        return self._looked_up(task_ids, STANDING)

    def naming(self, task_ids: Group[str]) -> Mapping[str, Document]:
        """In one query."""
        return self._looked_up(task_ids, NAMING)

    def mark_deleting(self, nonces: Mapping[str, object], token: str) -> None:
        """In one write for those with a nonce, and one for those without."""
        mark = {"$mergeObjects": [{"$literal": {"token": token}}, expiry("at", 0)]}
        with translated():
            for these in _these(nonces):
                over = {**these, "status": {"$in": FINAL}, "settled": {"$ne": False}, "deleting": None}
                self._tasks.update_many(over, setting({"deleting": mark}))

    def deleting(self, limit: int) -> Sequence[Document]:
        """By the index of those."""
        return self._spare({"deleting.at": _EVER, "status": {"$in": FINAL}}, _FIRST_MARKED, limit)

    def delete(self, tokens: Mapping[str, str]) -> None:
        """In one write; a token may mark many, but never two tasks of one id."""
        with translated():
            self._tasks.delete_many({"_id": {"$in": [*tokens]}, "deleting.token": {"$in": [*{*tokens.values()}]}})

    def expired(self, before: datetime, limit: int) -> Sequence[Document]:
        """By the index of those."""
        return self._spare({**_SETTLED, "keep_until": None, "finished_at": {"$lt": before}}, _FIRST_ENDED, limit)

    def outlived(self, now: datetime, limit: int) -> Sequence[Document]:
        """By the same index."""
        return self._spare({**_SETTLED, "keep_until": {**_EVER, "$lt": now}}, [("keep_until", 1)], limit)

    def with_output(self, part: Part, since: datetime | None, before: datetime, limit: int) -> Sequence[Document]:
        """By the index of those."""
        ended = {"$lt": before} if since is None else {"$gte": since, "$lt": before}
        query = {**_SETTLED, f"{part}_removed_at": None, "keep_until": None, "finished_at": ended}
        return self._spare(query, _FIRST_ENDED, limit)

    def note_removed(self, part: Part, nonces: Mapping[str, object]) -> None:
        """In one write for those with a nonce, and one for those without."""
        with translated():
            for these in _these(nonces):
                self._tasks.update_many({**these, **_SETTLED}, setting({f"{part}_removed_at": "$$NOW"}))

    def deployment(self) -> str:
        """Kept in the collection ``meta``; written only if it is missing."""
        with translated():
            meta = self._collection("meta")
            found = meta.find_one(_DEPLOYMENT) or {}
            if found.get("home") is None:
                meta.update_one(_DEPLOYMENT, {"$setOnInsert": {"id": uuid.uuid4().hex}}, upsert=True)
                meta.update_one({**_DEPLOYMENT, "home": None}, {"$set": {"home": self._uuid()}})
                found = meta.find_one(_DEPLOYMENT) or {}
        return str(found.get("id") or "")

    def origin(self) -> Origin:
        """The server gives each new collection a UUID, also when a dump is restored."""
        with translated():
            found = self._collection("meta").find_one(_DEPLOYMENT) or {}
            former = found.get("former")
            past = map(str, former) if isinstance(former, list) else ()
            return Origin(str(found.get("id") or ""), self._uuid(), str(found.get("home") or ""), frozenset(past))

    def settle_in(self, deployment: str, former: Group[str] = ()) -> None:
        """In one write. The collection exists before its UUID is read."""
        self.deployment()
        with translated():
            home = self._uuid()
        self._note({"id": deployment, "home": home}, former)

    def go_on_as(self, deployment: str, former: Group[str] = ()) -> None:
        """In one write."""
        self.deployment()
        self._note({"id": deployment}, former)

    def _note(self, fields: Document, former: Group[str]) -> None:
        with translated():
            self._collection("meta").update_one(_DEPLOYMENT, {"$set": fields, "$addToSet": {"former": {"$each": [*former]}}})

    def _uuid(self) -> str:
        """The UUID of the collection ``meta``; empty if there is none, or if the server does not return it."""
        database = self._client().get_database(self._database, read_preference=ReadPreference.PRIMARY)
        listed = [*database.list_collections(filter={"name": "meta"})]
        found = listed[0].get("info", {}).get("uuid") if listed else None
        return str(uuid.UUID(bytes=found)) if isinstance(found, bytes) else str(found or "")

    def _near_and_far(self, query: Stage, free: Free, place: str, near: object) -> Iterator[Document]:
        """Free tasks whose engine, in the field ``place``, is ``near``, then tasks of other engines."""
        yield from self._some({**query, place: near, **unheld(free, elsewhere=False)})
        yield from self._some({**query, place: elsewhere(free), **unheld(free, elsewhere=True)})

    def _looked_up(self, task_ids: Group[str], names: Iterable[str]) -> Mapping[str, Document]:
        if not task_ids:
            return {}
        with translated():
            found = self._tasks.find({"_id": {"$in": [*task_ids]}}, dict.fromkeys(names, 1))
            return {document["_id"]: document for document in found}

    def _spare(self, query: Stage, order: Sequence[tuple[str, int]], limit: int) -> Sequence[Document]:
        """Ids are looked at here: SecantusDB uses an index only for a filter that has its fields and no others."""
        if limit < 1:
            return []
        with translated(), self._tasks.find(query, dict.fromkeys(STANDING, 1), sort=[*order], batch_size=limit) as found:
            return [*islice((each for each in found if isinstance(each["_id"], str)), limit)]

    def _some(self, query: Stage, limit: int | None = None) -> Iterator[Document]:
        with translated(), self._tasks.find(query, dict.fromkeys(SWEPT, 1), sort=_OLDEST_FIRST, batch_size=_BATCH) as found:
            yield from islice(found, limit)

    def close(self) -> None:
        """Close this process's connections; the next call opens new ones."""
        if client := self._client.dropped():
            client.close()

    @property
    def _tasks(self) -> Collection[Mapping[str, Any]]:
        return self._collection("tasks")

    def _collection(self, name: str) -> Collection[Mapping[str, Any]]:
        """A read after a write must return what was written, so MONGO_URI cannot send it to a secondary."""
        return self._client().get_database(self._database, read_preference=ReadPreference.PRIMARY)[name]


def _held(task_id: str, token: str) -> Stage:
    """The task, if it is held with this token."""
    return {**by(task_id), "lease.token": token, "status": _ALIVE}


def _these(nonces: Mapping[str, object]) -> Iterator[Stage]:
    """The tasks of these ids, if they have these nonces still.

    A nonce belongs to one task, so ids and nonces need no pairing; but any task may be without one.
    """
    given = {task_id: nonce for task_id, nonce in nonces.items() if nonce is not None}
    if given:
        yield {"_id": {"$in": [*given]}, "nonce": {"$in": [*given.values()]}}
    if without := [*(nonces.keys() - given.keys())]:
        yield {"_id": {"$in": without}, "nonce": None}


class AsyncDocuments:
    """Reads documents for asyncio."""

    def __init__(self, settings: Settings) -> None:
        self._client = async_mongo_client(settings)
        self._tasks = self._client[settings.mongo_db_name]["tasks"]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def find(self, task_id: str) -> Document | None:
        """The document, or None."""
        with translated():
            return await self._tasks.find_one(by(task_id))
