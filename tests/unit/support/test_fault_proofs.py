"""What proves that a fault was survived is not fooled itself: the evidence that a worker without a guard leaves fails it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.faults.report import note
from tests.support.fault_programs import Program, talker
from tests.support.fault_proof import Held, ended_once, published_is_stored, starts_are_allowed
from tests.support.fault_rows import ONCE, Again, Row

DOWN = Row.RESTART.again
OUTAGES = Row.SOAK.again


def document(*causes: str | None, exit_code: int | None = None, attempt: int | None = None) -> dict[str, Any]:
    """A task whose earlier attempts ended for these causes, each with this exit code."""
    number = attempt or len(causes) + 1
    earlier = [{"cause": cause, "exit_code": exit_code} for cause in causes]
    return {"status": "succeeded", "cause": None, "history": [{"attempt": number}], "attempts": earlier, "message": None}


def once_for_each(attempts: int) -> dict[int, int]:
    """One start in each attempt, which a count by attempt would let pass."""
    return dict.fromkeys(range(1, attempts + 1), 1)


@pytest.mark.parametrize(
    ("task", "starts", "exited_0", "retries", "again"),
    [
        (document(), {1: 1}, {1}, 0, ONCE),
        (document(attempt=1), {}, set(), 0, ONCE),
        (document("exit"), {1: 1, 2: 1}, {2}, 1, ONCE),
        (document("infrastructure"), {1: 1, 2: 1}, {2}, 0, DOWN),
        (document("infrastructure"), {1: 1, 2: 1}, {1, 2}, 0, DOWN),
        (document("infrastructure", "exit"), once_for_each(3), {3}, 1, DOWN),
        (document("infrastructure", "infrastructure"), once_for_each(3), {3}, 0, OUTAGES),
    ],
    ids=["once", "never", "its own retry", "engine down", "ended by the engine with 0", "both", "outages"],
)
def test_what_the_row_allows_passes(
    task: Mapping[str, Any], starts: Mapping[int, int], exited_0: set[int], retries: int, again: Again
) -> None:
    """One start, its own retries, and the runs that the fault takes."""
    starts_are_allowed(task, starts, exited_0, retries, again)


@pytest.mark.parametrize(
    ("task", "starts", "exited_0", "retries", "again", "complaint"),
    [
        (document("infrastructure", "infrastructure"), once_for_each(3), {1, 2, 3}, 0, ONCE, "started 3 times over all"),
        (document("infrastructure"), once_for_each(2), set(), 0, ONCE, "started 2 times over all"),
        (document("infrastructure"), {2: 1}, set(), 0, ONCE, "it took 2 attempts, not 1"),
        (document(), {1: 2}, set(), 0, ONCE, "two starts of one attempt"),
        (document("exit"), once_for_each(2), set(), 0, ONCE, "tried 1 times again, the task asked for 0"),
        (document("infrastructure", "infrastructure"), once_for_each(3), set(), 0, DOWN, "started 3 times over all"),
        (document("infrastructure"), once_for_each(2), {1}, 0, OUTAGES, "exited with 0 and started again"),
        (document("infrastructure", exit_code=0), {2: 1}, set(), 0, OUTAGES, "followed an exit with 0"),
        (document(), {1: 1, 2: 1}, set(), 0, ONCE, "known are 1"),
    ],
    ids=[
        "three runs that exited 0",
        "adoption replaced by a run",
        "an attempt without a start",
        "two containers",
        "a retry that nobody asked for",
        "one more than the engine took",
        "after an exit with 0",
        "after a stored exit with 0",
        "an attempt that nobody stored",
    ],
)
def test_a_program_that_runs_again_without_a_reason_fails_the_proof(
    task: Mapping[str, Any], starts: Mapping[int, int], exited_0: set[int], retries: int, again: Again, complaint: str
) -> None:
    """Each start in an attempt of its own, as an engine tells it."""
    with pytest.raises(AssertionError, match=complaint):
        starts_are_allowed(task, starts, exited_0, retries, again)


STORED: Sequence[tuple[object, ...]] = [(1, "start", "queued", "running", 1), (2, "exit", "running", "collecting", 2)]


@pytest.mark.parametrize("heard", [STORED, STORED[1:], []])
def test_what_is_stored_may_be_published(heard: Sequence[tuple[object, ...]]) -> None:
    """A listener may have missed some."""
    published_is_stored(heard, STORED)


@pytest.mark.parametrize(
    "heard",
    [[*STORED[:1], (2, "exit", "running", "collecting", 1.5)], [*STORED, (3, "x", "collecting", "failed", 3)], STORED[::-1]],
    ids=["an outcome that another holder stored", "a step that nobody stored", "out of order"],
)
def test_a_step_that_was_published_before_it_was_stored_fails_the_proof(heard: Sequence[tuple[object, ...]]) -> None:
    """The worker died between the two, and another one stored something else."""
    with pytest.raises(AssertionError, match="published, but not stored"):
        published_is_stored(heard, STORED)


def ended(**changes: object) -> dict[str, Any]:
    """A task that has succeeded."""
    rows = [{"seq": 1, "status": "running"}, {"seq": 2, "status": "succeeded"}]
    return {**document(), "seq": 2, "history": rows, "exit_code": 0, **changes}


@pytest.mark.parametrize(
    ("after", "program"),
    [
        (ended(exit_code=1), talker()),
        (ended(message="written late"), talker()),
        (ended(status="failed", cause="container_lost", history=[{"seq": 2, "status": "failed"}]), talker()),
        (ended(history=[{"seq": 1, "status": "failed"}, {"seq": 2, "status": "succeeded"}]), talker()),
    ],
    ids=["an end that a stale holder changed", "a message that it changed", "a container that a sweep removed", "two ends"],
)
def test_an_end_that_is_changed_or_another_fails_the_proof(after: Mapping[str, Any], program: Program) -> None:
    """As a store without a fencing token, or a sweep that removes what it does not know, would leave it."""
    ended_once(ended(), ended(), program)
    before = ended() if after["status"] == "succeeded" else after
    with pytest.raises(AssertionError):
        ended_once(before, after, program)


def test_a_row_is_noted_only_with_what_it_allows() -> None:
    """Else a test could allow itself more than the page says."""
    with pytest.raises(AssertionError, match="KILL_ALONE was proven with"):
        note(Row.KILL_ALONE, Held("I1-I6", DOWN))


def test_only_rows_whose_fault_takes_a_run_allow_another() -> None:
    """Where another worker adopts the program, it starts once; each row that allows more says why."""
    more = {row.name for row in Row if row.again.runs}
    assert more == {"RESTART", "KILLED", "KILLED_CONTENT", "RESTART_BOTH", "KILLED_BOTH", "LOST_ENGINE", "SOAK"}
    assert all(row.again.why for row in Row if row.again.runs)
