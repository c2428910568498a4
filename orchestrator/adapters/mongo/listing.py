"""Lists of tasks, newest first, and the queries and indexes that they take."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from orchestrator.adapters.mongo.newest import newest
from orchestrator.adapters.mongo.stages import Stage
from orchestrator.ports import Counts, Search
from orchestrator.ports.documents import ACTIVE, BULKY, FINAL, TIMED
from orchestrator.task.values import Document
from statemachine import INITIAL, State

Tasks = Collection[Mapping[str, Any]]
_NEWEST_FIRST = [("created_at", -1), ("_id", -1)]
_LAST_ENDED = [("finished_at", -1)]
_NOT_A_DATE = {"$type": ["string", "number", "bool", "object", "objectId", "binData", "timestamp", "regex"]}
"""What a foreign hand may have written for ``created_at``."""
LIST_INDEXES: Sequence[Sequence[tuple[str, int]]] = (
    _NEWEST_FIRST,
    [("status", 1), *_NEWEST_FIRST],
    [("cause", 1), *_NEWEST_FIRST],
    [("_id", 1), ("created_at", 1)],  # SecantusDB scans the collection for a range of ids alone
    _LAST_ENDED,
)
UNDATED_INDEX: Mapping[str, Any] = {
    "keys": [("_id", -1), ("created_at", 1)],
    "name": "undated",
    "partialFilterExpression": {"created_at": _NOT_A_DATE},
}


def label_index(name: str) -> Sequence[tuple[str, int]]:
    """The keys of an index for lists by the label of this name."""
    return [(f"labels.{name}", 1), *_NEWEST_FIRST]


_WITHOUT_DATE: Sequence[tuple[Stage, str | None]] = (
    ({"created_at": None}, None),
    ({"created_at": _NOT_A_DATE}, UNDATED_INDEX["name"]),
)
"""The tasks that have no ``created_at``, by the usual index, and those that have something else there, by one of their own."""


def listed(tasks: Tasks, search: Search, limit: int, last: Document | None) -> Sequence[Document]:
    """The newest of the wanted tasks, without what is bulky; with ``last`` those that follow it.

    Those without a date come last. Those that are being deleted are left out, and others take their places.
    """
    found: list[Document] = []
    whole = True
    while whole and len(found) < limit:
        missing = limit - len(found)
        some = _some(tasks, search, missing, last)
        found += [each for each in some if each.get("deleting") is None]
        whole = len(some) == missing
        last = some[-1] if some else last
    return found


def _some(tasks: Tasks, search: Search, limit: int, last: Document | None) -> Sequence[Document]:
    at = last.get("created_at") if last else None
    found = [*_dated(tasks, search, limit, last)] if last is None or isinstance(at, datetime) else []
    if search.since is None and search.until is None:
        found += _undated(tasks, search, limit - len(found), None if isinstance(at, datetime) else last)
    return found


def ended(tasks: Tasks, since: datetime, limit: int) -> Sequence[Document]:
    """What figures are made of, of the tasks that ended at ``since`` or later, last end first."""

    def look(bounds: Stage, most: int) -> Sequence[Document]:
        return [*tasks.find({"finished_at": bounds}, dict.fromkeys(TIMED, 1), sort=_LAST_ENDED, limit=most, batch_size=most)]

    return newest(look, limit, since=since, until=None, now=datetime.now(UTC))


def counted(tasks: Tasks, most: int) -> Counts:
    """How many tasks have each status: all active ones, of the queued as many as ``most``, and of the newest of all as many."""
    newest_ones = _statuses(tasks, {}, most + 1)
    active = [each["status"] for each in tasks.find({"status": {"$in": ACTIVE}}, {"status": 1})]
    if len(newest_ones) <= most:
        return Counts(_by_state(newest_ones))
    queued = _statuses(tasks, {"status": str(INITIAL)}, most + 1)
    more = frozenset({*FINAL, *([str(INITIAL)] if len(queued) > most else [])})
    ended = [status for status in newest_ones[:most] if status in FINAL]
    return Counts(_by_state([*active, *queued[:most], *ended]), more)


def _by_state(statuses: Iterable[object]) -> Mapping[str, int]:
    found = Counter(map(str, statuses))
    return {str(state): found[str(state)] for state in State}


def _statuses(tasks: Tasks, query: Stage, most: int) -> list[object]:
    """The statuses of the newest tasks, those without a date last."""

    def look(bounds: object, missing: int, index: str | None = None) -> Sequence[Document]:
        return [*tasks.find({"created_at": bounds, **query}, {"status": 1}, limit=missing, batch_size=missing, hint=index)]

    found = newest(look, most, since=None, until=None, now=datetime.now(UTC))
    for place, index in _WITHOUT_DATE:
        if len(found) < most:
            found += look(place["created_at"], most - len(found), index)
    return [each.get("status") for each in found]


def _dated(tasks: Tasks, search: Search, limit: int, last: Document | None) -> Sequence[Document]:
    def look(bounds: object, most: int, **behind: object) -> Sequence[Document]:
        return _found(tasks, search, {"created_at": bounds, **behind}, _NEWEST_FIRST, most)

    at = last["created_at"] if last else None
    if not isinstance(at, datetime) or last is None or not _is_within(at, search):
        return newest(look, limit, since=search.since, until=_earlier(at, search.until), now=datetime.now(UTC))
    same = look(at, limit, _id={"$lt": last["_id"]})
    return [*same, *newest(look, limit - len(same), since=search.since, until=at, now=datetime.now(UTC))]


def _is_within(at: datetime, search: Search) -> bool:
    return (search.since is None or at >= search.since) and (search.until is None or at < search.until)


def _earlier(at: object, until: datetime | None) -> datetime | None:
    return min((each for each in (at, until) if isinstance(each, datetime)), default=None)


def _undated(tasks: Tasks, search: Search, limit: int, last: Document | None) -> Sequence[Document]:
    behind: Stage = {"_id": {"$lt": last["_id"]}} if last else {}
    order = [("_id", -1)]
    ways = [_found(tasks, search, {**place, **behind}, order, limit, index) for place, index in _WITHOUT_DATE]
    found = [each for some in ways for each in some]
    return sorted(found, key=lambda each: str(each["_id"]), reverse=True)[: max(limit, 0)]


def _found(
    tasks: Tasks, search: Search, place: Stage, order: Sequence[tuple[str, int]], most: int, index: str | None = None
) -> Sequence[Document]:
    """The wanted tasks in this place of the list. Labels are looked at here, so as many are read as it takes."""
    if most < 1:  # MongoDB takes 0 for no limit
        return []
    limit, query = 0 if search.labels else most, {**place, **_wanted(search)}
    with tasks.find(query, dict.fromkeys(BULKY, 0), sort=[*order], limit=limit, batch_size=most, hint=index) as found:
        try:
            return [*islice((each for each in found if _is_labelled(each, search)), most)]
        except OperationFailure as error:
            if index is None or error.code != _NO_SUCH_INDEX:
                raise
    return _found(tasks, search, place, order, most)


def _wanted(search: Search) -> Stage:
    """The tasks that match the search, whenever they were made.

    SecantusDB takes no index for a filter with an operator at its top level, so a label is a path where its name can be one;
    ``_is_labelled`` has the last word.
    """
    asked = {"status": search.status, "cause": search.cause, "image": search.image}
    query: Stage = {name: value for name, value in asked.items() if value is not None}
    return query | {f"labels.{name}": value for name, value in search.labels.items() if _PATH.fullmatch(name)}


def _is_labelled(document: Document, search: Search) -> bool:
    labels = document.get("labels")
    return search.labels.items() <= (labels if isinstance(labels, Mapping) else {}).items()


_NO_SUCH_INDEX = 2
"""MongoDB's BadValue: nobody has prepared this database yet."""
_PATH = re.compile(r"[^.$\0][^.\0]*")
