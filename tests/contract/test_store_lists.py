"""Lists of a store with 100,000 tasks: how many of them are read for a page, and by which index."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, field
from pymongo import timeout

from orchestrator.adapters.mongo import newest as module
from orchestrator.adapters.mongo.listing import Tasks, counted, ended, listed
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.embedded import Embedded
from orchestrator.ports import Search
from orchestrator.task.values import Document
from tests.support import pace
from tests.support.servers import corners

TASKS, APART = 100_000, timedelta(seconds=26)
"""A month of them."""
AT_ONCE = 1000
INDEXED = ("status", "cause", "labels.lot")
ROUND_TRIPS, READ = 16, 1000
"""The most for a page of 50."""


@define
class Watched:
    """The collection, and what it was asked."""

    tasks: Tasks
    newest: datetime
    asked: list[tuple[Mapping[str, Any], str | None]] = field(factory=list)

    def find(self, query: Mapping[str, Any], *arguments: object, **more: Any) -> object:
        """As the collection does."""
        self.asked.append((query, more.get("hint")))
        return self.tasks.find(query, *arguments, **more)

    def read(self) -> int:
        """How many documents the queries have in the index that each is for."""
        return sum(self._within(query) for query, _ in self.asked)

    def _within(self, query: Mapping[str, Any]) -> int:
        bounds = query["created_at"]
        if not isinstance(bounds, Mapping) or "$type" in bounds:
            return 0  # a time of one task, or those without a time
        first = self._place(bounds["$lt"]) if "$lt" in bounds else 0
        some = range(first, self._place(bounds["$gte"]) if "$gte" in bounds else TASKS)
        indexed = {name: query[name] for name in INDEXED if name in query}
        return sum(indexed.items() <= fields(number).items() for number in some) if indexed else len(some)

    def _place(self, at: datetime) -> int:
        """How many tasks are not older."""
        return min(max((self.newest - at) // APART + 1, 0), TASKS)

    def plans(self) -> set[str]:
        """What the database says that it does for the queries without a hint.

        SecantusDB takes the index of the first field where none has them all, but does not say so.
        """
        database = self.tasks.database
        queries = [_only(query, {"created_at", "_id", *INDEXED}) for query, hint in self.asked if hint is None]
        told = (database.command("explain", {"find": "tasks", "filter": query}) for query in queries)
        return {plan["queryPlanner"]["winningPlan"].get("inputStage", {}).get("stage", "COLLSCAN") for plan in told}


def _only(query: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if name in names}


def fields(number: int) -> dict[str, object]:
    """What a task is found by: one of ten has failed, one of two is red, one of a thousand is in the same lot."""
    status, cause = ("failed", "exit") if number % 10 == 7 else ("succeeded", None)
    return {"status": status, "cause": cause, "labels.team": "red" if number % 2 else "blue", "labels.lot": str(number % 1000)}


def document(number: int, at: datetime) -> Document:
    """A task that has ended."""
    found = fields(number)
    labels = {"team": found["labels.team"], "lot": found["labels.lot"], "a.b": "c"}
    times = {"created_at": at, "started_at": at, "finished_at": at}
    ended = {"status": found["status"], "cause": found["cause"], "settled": True}
    return {"_id": f"{number:08x}", "labels": labels, **ended, **times}


@pytest.fixture(scope="module")
def many(servers: Embedded) -> Iterator[tuple[MongoTaskStore, datetime]]:
    """The store, and when its newest task was made. It goes with the servers: deleting so many takes long."""
    site = next(corners({**servers.environment, "LABEL_INDEXES": "lot"}))
    store = MongoTaskStore(site.settings)
    store.prepare()  # not afterwards: then SecantusDB takes minutes
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    with timeout(pace.seconds(600)):
        for first in range(0, TASKS, AT_ONCE):
            some = [document(number, newest - number * APART) for number in range(first, first + AT_ONCE)]
            store._tasks.insert_many([dict(each) for each in some])
    yield store, newest
    store.close()


@pytest.fixture
def watched(many: tuple[MongoTaskStore, datetime], monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Its collection. To the lists it seems to answer at once, whatever else this machine does."""
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.0))
    store, newest = many
    return Watched(store._tasks, newest)


def numbers(found: Sequence[Document]) -> list[int]:
    """Of each its place from the newest."""
    return [int(str(each["_id"]), 16) for each in found]


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (Search(), lambda _: True),
        (Search(status="failed"), lambda number: number % 10 == 7),
        (Search(cause="exit"), lambda number: number % 10 == 7),
        (Search(labels={"team": "red"}), lambda number: number % 2 == 1),
        (Search(labels={"a.b": "c"}), lambda _: True),
        (Search(status="running"), lambda _: False),
    ],
    ids=["all", "status", "cause", "label", "label with a dot", "none"],
)
def test_a_list_reads_a_page_and_little_more(watched: Watched, search: Search, wanted: Callable[[int], bool]) -> None:
    """By an index, in few round trips, and it is the right page."""
    found = listed(cast("Tasks", watched), search, 50, None)
    assert numbers(found) == [number for number in range(TASKS) if wanted(number)][:50]
    assert len(watched.asked) <= ROUND_TRIPS
    assert watched.plans() == {"IXSCAN"}
    if found:
        assert watched.read() <= READ


@pytest.mark.parametrize("place", [49, 50_000, TASKS - 20])
def test_a_later_page_costs_no_more(watched: Watched, place: int) -> None:
    """It begins where the last one ended, however far that is."""
    last = document(place, watched.newest - place * APART)
    found = listed(cast("Tasks", watched), Search(), 50, last)
    assert numbers(found) == [*range(place + 1, TASKS)][:50]
    assert len(watched.asked) <= ROUND_TRIPS
    assert watched.plans() == {"IXSCAN"}
    assert watched.read() <= READ


def test_a_rare_label_with_an_index_is_found_by_it(watched: Watched) -> None:
    """The rest of the tasks is not read: SecantusDB reads what the index of a filter has."""
    found = listed(cast("Tasks", watched), Search(labels={"lot": "7"}), 50, None)
    assert numbers(found) == [7 + 1000 * number for number in range(50)]
    assert len(watched.asked) <= ROUND_TRIPS
    (index,) = {_index(watched.tasks, query) for query, _ in watched.asked}
    assert index == "labels.lot_1_created_at_-1__id_-1"


def _index(tasks: Tasks, query: Mapping[str, Any]) -> str:
    told = tasks.database.command("explain", {"find": "tasks", "filter": query})
    return str(told["queryPlanner"]["winningPlan"]["inputStage"]["indexName"])


def test_figures_read_what_they_tell_of(watched: Watched) -> None:
    """An hour of ends, and as many tasks as are counted."""
    found = ended(watched.tasks, watched.newest - timedelta(hours=1), 500)
    assert numbers(found) == [*range(timedelta(hours=1) // APART + 1)]
    counts = counted(cast("Tasks", watched), 500)
    assert (counts.by_status["succeeded"], counts.by_status["failed"]) == (450, 50)
    assert counts.more == {"succeeded", "failed", "timed_out"}
    watched.asked = [(query, hint) for query, hint in watched.asked if query.get("created_at")]
    assert len(watched.asked) <= 2 * ROUND_TRIPS
    assert watched.read() <= READ


def test_the_beginning_of_an_id_is_found_by_an_index(many: tuple[MongoTaskStore, datetime]) -> None:
    """SecantusDB has none for a range of ids alone."""
    store, _ = many
    assert store.ids("0001869", 20) == [f"0001869{digit:x}" for digit in range(16)]
    assert _index(store._tasks, {"_id": {"$gte": "0001869", "$lt": "000186a"}}) == "_id_1_created_at_1"
