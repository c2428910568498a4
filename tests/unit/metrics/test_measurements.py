"""Counters and histograms of one process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.metrics.failures import counted
from orchestrator.metrics.measurements import Measurements, Spread
from orchestrator.metrics.metric import Counter, Gauge, Histogram
from orchestrator.metrics.recent import Answer, Recent

PLAIN = Counter("plain_total", "It.")
LABELLED = Counter("labelled_total", "It.", ("one", "two"), (("a", "b"), ("a", "c")))
SPAN = Histogram("span_seconds", "It.", buckets=(1, 10))
GAUGE = Gauge("gauge", "It.")


def test_a_counter_begins_at_nought_in_each_of_its_series() -> None:
    """Else Prometheus does not see its first increase."""
    measured = Measurements()
    assert measured.counted(PLAIN) == {(): 0}
    assert measured.counted(LABELLED) == {("a", "b"): 0, ("a", "c"): 0}
    measured.count(LABELLED, "a", "c", by=2)
    measured.count(PLAIN)
    assert measured.counted(LABELLED) == {("a", "b"): 0, ("a", "c"): 2}
    assert measured.counted(PLAIN) == {(): 1}


def test_a_label_that_was_not_declared_is_counted_as_other() -> None:
    """So that their number has a bound, and nothing is lost."""
    measured = Measurements()
    for number in range(100):
        measured.count(LABELLED, "a", f"task-{number}")
    assert measured.counted(LABELLED) == {("a", "b"): 0, ("a", "c"): 0, ("other", "other"): 100}


def test_a_value_is_in_the_first_bucket_that_is_not_smaller() -> None:
    """Those above all buckets are counted, too, and one below 0 is 0."""
    measured = Measurements()
    assert measured.observed(SPAN) == {(): Spread([0, 0, 0], 0.0)}
    for seconds in (0.5, 1, 10, 11, -3):
        measured.observe(SPAN, seconds)
    assert measured.observed(SPAN) == {(): Spread([3, 1, 1], 22.5)}


def test_a_block_that_raises_is_timed_like_any_other() -> None:
    """A failed call takes its time."""
    measured = Measurements()
    with pytest.raises(KeyError), measured.timed(SPAN):
        raise KeyError
    assert measured.observed(SPAN)[()].counts == [1, 0, 0]


def test_threads_lose_no_count() -> None:
    """Steps, leases and sweeps count at the same time."""
    measured = Measurements()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: measured.count(PLAIN), range(5000)))
    assert measured.counted(PLAIN) == {(): 5000}


class Adapter:
    """Fails as its service does."""

    name = "adapter"

    def answer(self) -> str:
        """Well."""
        return "answer"

    def fail(self, service: str) -> None:
        """For a service."""
        raise InfrastructureError(service, "away")

    def items(self):  # noqa: ANN201
        """Fails behind the first."""
        yield 1
        raise InfrastructureError("redis", "away")


def test_the_failures_of_a_service_are_counted_once() -> None:
    """Also while something is read; those of another service are not its own."""
    measured, adapter = Measurements(), Adapter()
    errors = Counter("orchestrator_service_errors_total", "It.", ("service",), (("redis",), ("s3",)))
    assert counted(adapter.name, "redis", measured) == "adapter"
    assert counted(adapter.answer, "redis", measured)() == "answer"
    for call in (
        lambda: counted(adapter.fail, "redis", measured)("redis"),
        lambda: [*counted(adapter.items, "redis", measured)()],
    ):
        with pytest.raises(InfrastructureError, match="away"):
            call()
    with pytest.raises(InfrastructureError, match="away"):
        counted(adapter.fail, "redis", measured)("s3")
    assert measured.counted(errors) == {("redis",): 2, ("s3",): 0}


def test_a_server_that_hangs_does_not_hold_up_a_scrape() -> None:
    """The same question is not asked twice meanwhile, and its answer is taken once it comes."""
    go_on, asked = threading.Event(), []

    def ask() -> Answer:
        asked.append(1)
        go_on.wait(30)
        return {GAUGE: {(): 5.0}}

    recent = Recent(ask, fresh=3600, patience=0)
    assert recent() is None
    assert recent() is None
    assert asked == [1]
    go_on.set()
    recent.patience = 30
    assert recent() == {GAUGE: {(): 5.0}}
    assert asked == [1]


def test_an_answer_is_given_again_only_while_it_is_fresh() -> None:
    """And none of a server that is away since."""
    answers: list[Answer | None] = [{GAUGE: {(): 1.0}}, None, {GAUGE: {(): 2.0}}]

    def ask() -> Answer:
        if (answer := answers.pop(0)) is None:
            raise InfrastructureError("redis", "away")
        return answer

    recent = Recent(ask, fresh=3600, patience=30)
    assert recent() == recent() == {GAUGE: {(): 1.0}}
    recent.fresh = 0
    assert recent() is None
    assert recent() == {GAUGE: {(): 2.0}}


def test_a_process_without_room_for_a_thread_asks_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scrape is answered all the same."""
    recent = Recent(lambda: {GAUGE: {(): 1.0}}, patience=30)

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail)
        assert recent() is None
    assert recent() == {GAUGE: {(): 1.0}}
