"""The verdict and its evidence, from facts alone."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cause import Cause
from orchestrator.outcome.usage import PeakCounters
from orchestrator.outcome.verdict import Facts, verdict
from orchestrator.ports import ContainerState, Counters, EngineEvents, Figure, Phase
from orchestrator.task.limits import Limits
from orchestrator.task.values import Outcome

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def judge(code: int, *, oom: bool = False, error: str = "", limits: Limits | None = None, **facts: Any) -> Outcome:
    """The verdict on an exit code."""
    figures = facts.pop("figures", {})
    tally = PeakCounters()
    tally.add(Counters("cgroup v1", figures))
    state = ContainerState("c1", Phase.EXITED, NOW, code, oom_killed=oom, error=error)
    return verdict(Facts(state, limits or Limits(), tally=tally, **facts))


@pytest.mark.parametrize(
    ("given", "cause", "ended_by"),
    [
        ({"code": 0}, None, "program"),
        ({"code": 3}, Cause.EXIT, "program"),
        ({"code": 139}, Cause.SIGNAL, "program"),
        ({"code": 137}, Cause.SIGNAL, "unknown"),
        ({"code": 143}, Cause.SIGNAL, "program"),
        ({"code": 137, "noted": EngineEvents(["SIGKILL"])}, Cause.SIGNAL, "engine"),
        ({"code": 143, "noted": EngineEvents(["SIGTERM"])}, Cause.SIGNAL, "engine"),
        ({"code": 139, "noted": EngineEvents(["SIGHUP"])}, Cause.SIGNAL, "program"),
        ({"code": 137, "oom": True}, Cause.OOM, "kernel"),
        ({"code": 1, "oom": True}, Cause.OOM, "program"),
        ({"code": 0, "oom": True}, None, "program"),
        ({"code": 137, "ended_for": Cause.TIMEOUT, "signalled": True}, Cause.TIMEOUT, "worker"),
        ({"code": 143, "ended_for": Cause.CANCELLED, "signalled": True}, Cause.CANCELLED, "worker"),
        ({"code": 137, "ended_for": Cause.OUTPUT_LIMIT, "signalled": True}, Cause.OUTPUT_LIMIT, "worker"),
        ({"code": 0, "ended_for": Cause.TIMEOUT, "signalled": True}, Cause.TIMEOUT, "program"),
        ({"code": 137, "oom": True, "ended_for": Cause.TIMEOUT, "signalled": True}, Cause.TIMEOUT, "worker"),
        ({"code": 137, "ended_for": Cause.OUTPUT_LIMIT}, Cause.OUTPUT_LIMIT, "unknown"),
        ({"code": 137, "ended_for": Cause.OUTPUT_LIMIT, "oom": True}, Cause.OUTPUT_LIMIT, "kernel"),
        ({"code": 143, "ended_for": Cause.CANCELLED, "noted": EngineEvents(["SIGTERM"])}, Cause.CANCELLED, "engine"),
        (
            {"code": 143, "ended_for": Cause.TIMEOUT, "noted": EngineEvents(["SIGTERM"]), "unsure": True},
            Cause.TIMEOUT,
            "worker",
        ),
        ({"code": 137, "ended_for": Cause.TIMEOUT, "unsure": True}, Cause.TIMEOUT, "unknown"),
        ({"code": 255}, Cause.EXIT, "program"),
        ({"code": 193}, Cause.EXIT, "program"),
        ({"code": 128}, Cause.EXIT, "program"),
        ({"code": 168}, Cause.SIGNAL, "program"),
    ],
)
def test_cause_and_who_ended_it_follow_from_the_facts(given: dict[str, Any], cause: Cause | None, ended_by: str) -> None:
    """Exit code 137 alone decides nothing; the exit code is reported as it is."""
    outcome = judge(**given)
    assert (outcome.cause, outcome.evidence["ended_by"], outcome.exit_code) == (cause, ended_by, given["code"])


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (137, "SIGKILL"),
        (143, "SIGTERM"),
        (139, "SIGSEGV"),
        (153, "SIGXFSZ"),
        (160, "SIG32"),
        (162, "SIGRTMIN"),
        (168, "SIGRTMIN+6"),
        (192, "SIGRTMIN+30"),
    ],
)
def test_the_signal_is_named(code: int, name: str) -> None:
    """Also where the exit code says it only to those who can subtract."""
    assert judge(code).evidence["signal"] == name
    assert f": by {name}, or by an exit" in judge(code).message
    assert judge(code).cause is Cause.SIGNAL
    assert "signal" not in judge(3).evidence


@pytest.mark.parametrize("code", [137, 143, 139])
def test_a_status_that_a_program_may_choose_is_not_told_as_a_signal(code: int) -> None:
    """A program that exits with 137 looks as one that got SIGKILL; only if somebody is known to have sent it, it was."""
    name = judge(code).evidence["signal"]
    assert judge(code).message == f"the program ended with status {code}: by {name}, or by an exit with that status"
    sent = judge(code, noted=EngineEvents([str(name)])).message
    assert sent == f"the program was ended by {name} (exit status {code}), which a client of the engine sent"


@pytest.mark.parametrize("code", [0, 3, 143])
def test_a_program_that_outlived_kill_had_ended_before(code: int) -> None:
    """A flood gets KILL alone: whatever else the exit code says, the program had exited by then."""
    outcome = judge(code, ended_for=Cause.OUTPUT_LIMIT, signalled=True, limits=Limits(output=1024))
    assert outcome.message == "a stream passed its limit of 1 KiB, but the program had ended before the worker could end it"
    assert outcome.evidence["ended_by"] == "program"


def test_time_that_ran_out_says_which() -> None:
    """CPU time and wall time have the same cause, and different evidence and sentences."""
    cpu = judge(143, ended_for=Cause.TIMEOUT, out_of_cpu=True, limits=Limits(cpu_time=2.5), signalled=True)
    wall = judge(143, ended_for=Cause.TIMEOUT, limits=Limits(timeout=9.0), signalled=True)
    assert (cpu.evidence["ended_for"], wall.evidence["ended_for"]) == ("cpu_time", "timeout")
    assert "CPU time of 2.5 s" in cpu.message
    assert "time limit of 9 s" in wall.message


@pytest.mark.parametrize(
    ("ended_for", "about"),
    [
        ({"ended_for": Cause.OUTPUT_LIMIT}, "a stream passed its limit of 1 KiB"),
        ({"ended_for": Cause.TIMEOUT}, "the time limit of 9 s passed"),
        ({"ended_for": Cause.TIMEOUT, "out_of_cpu": True}, "the CPU time of 2.5 s was used up"),
        ({"ended_for": Cause.CANCELLED}, "the task was cancelled"),
    ],
)
def test_a_program_that_no_signal_reached_was_not_ended_by_the_worker(ended_for: dict[str, Any], about: str) -> None:
    """The sentence says what it did, and that it had ended by then."""
    limits = Limits(output=1024, timeout=9.0, cpu_time=2.5)
    message = judge(137, limits=limits, **ended_for).message
    assert message == f"{about}, but the program had ended before the worker could end it"
    assert "the program was ended" in judge(137, limits=limits, signalled=True, **ended_for).message
    assert judge(0, limits=limits, unsure=True, noted=EngineEvents(["SIGTERM"]), **ended_for).message.startswith(
        "the program was ended"
    )


@pytest.mark.parametrize(
    ("limit", "figures", "expected"),
    [
        (20, {Figure.PIDS_REFUSED: 3, Figure.PIDS_PEAK: 20}, {"limit": 20, "refused": 3}),
        (20, {Figure.PIDS_PEAK: 20}, {"limit": 20, "refused": None}),
        (20, {Figure.PIDS_PEAK: 19}, None),
        (20, {Figure.PIDS_REFUSED: 0, Figure.PIDS_PEAK: 5}, None),
        (7, {Figure.PIDS_PEAK: 7}, None),
    ],
)
def test_the_process_limit_is_evidence(limit: int, figures: dict[Figure, float], expected: object) -> None:
    """What the kernel refused, or a peak at the limit; a small peak may be the start of the container."""
    assert judge(1, limits=Limits(pids=limit), figures=figures).evidence.get("pids_limit") == expected


def test_a_process_killed_for_memory_shows_however_the_program_exits() -> None:
    """The sentence says that the program went on."""
    outcome = judge(2, oom=True)
    assert "exited with 2" in outcome.message
    assert judge(0, oom=True).evidence["oom_killed"] is True


@given(
    st.integers(0, 255),
    st.booleans(),
    st.sampled_from([None, Cause.TIMEOUT, Cause.OUTPUT_LIMIT, Cause.CANCELLED]),
    st.booleans(),
    st.lists(st.sampled_from(["SIGTERM", "SIGKILL", "SIGHUP"]), max_size=2),
)
def test_every_combination_has_a_verdict(code: int, oom: bool, ended_for: Cause | None, cpu: bool, sent: list[str]) -> None:  # noqa: FBT001
    """The worker's reason is never overruled, and success needs status 0."""
    outcome = judge(code, oom=oom, ended_for=ended_for, out_of_cpu=cpu, noted=EngineEvents(sent))
    assert outcome.message
    assert ended_for is None or outcome.cause is ended_for
    assert (outcome.cause is None) == (code == 0 and ended_for is None)


@pytest.mark.parametrize(
    ("kills", "at_limit", "oom"),
    [
        (1, {Figure.MEMORY_PEAK: 100 << 20}, True),
        (1, {Figure.MEMORY_PEAK: 50 << 20}, False),
        (0, {Figure.MEMORY_PEAK: 100 << 20}, False),
        (1, {Figure.MEMORY_REFUSED: 1}, True),
        (1, {Figure.MEMORY_REFUSED: 0}, False),
        (0, {Figure.MEMORY_REFUSED: 1}, False),
        (1, {}, False),
    ],
)
def test_a_kill_that_the_engine_missed_is_counted_by_the_kernel(
    kills: int, at_limit: dict[Figure, float], *, oom: bool
) -> None:
    """At its limit it is its own; below it, it is the host that ran out of memory."""
    figures = {Figure.OOM_KILLS: kills, **at_limit}
    outcome = judge(137, limits=Limits(memory=100 << 20), figures=figures)
    assert (outcome.cause is Cause.OOM, outcome.evidence["oom_killed"]) == (oom, oom)


def test_only_a_kill_that_nobody_owns_up_to_is_asked_about() -> None:
    """The engine is asked for signals when neither the worker nor the kernel accounts for one."""
    every = product((0, 1, 137, 143), (True, False))
    states = {(code, oom): ContainerState("c", Phase.EXITED, NOW, code, oom) for code, oom in every}
    counted = PeakCounters()
    counted.add(Counters("cgroup", {Figure.OOM_KILLS: 0}))
    known = {key for key, state in states.items() if Facts(state, Limits(), tally=counted).unexplained}
    assert known == {(137, False), (143, False)}
    assert not any(Facts(state, Limits(), Cause.TIMEOUT, signalled=True).unexplained for state in states.values())
    over = {
        key for key, state in states.items() if Facts(state, Limits(), Cause.TIMEOUT, tally=counted, unsure=True).unexplained
    }
    assert over == {key for key in states if key[1] is False}, "another worker may have ended it"
    uncounted = {key for key, state in states.items() if Facts(state, Limits()).unexplained}
    assert uncounted == {key for key in states if key[1] is False}, "a child may have been killed although it exited 0"


@pytest.mark.parametrize(("peak", "asked"), [(None, True), (0, True), (1, False), (99, False), (100, True), (200, True)])
def test_a_program_that_had_memory_left_is_not_asked_about(peak: int | None, asked: bool) -> None:  # noqa: FBT001
    """The kernel kills nobody at a limit that was never near. A peak of 0 was not counted. Who sent a signal is still asked."""
    counted = None if peak is None else Counters("cgroup v1", {Figure.MEMORY_PEAK: peak})
    for code in (0, 1):
        state = ContainerState("c", Phase.EXITED, NOW, code, counted=counted)
        assert Facts(state, Limits(memory=200)).unexplained is asked
    for code in (130, 137):
        assert Facts(ContainerState("c", Phase.EXITED, NOW, code, counted=counted), Limits(memory=200)).unexplained


def test_the_engine_may_remember_a_kill_for_memory_that_its_state_does_not_tell() -> None:
    """Where the kernel's counts cannot be read it is the only witness."""
    assert judge(137, noted=EngineEvents(out_of_memory=True)).cause is Cause.OOM
    assert judge(137, noted=EngineEvents(["SIGKILL"])).cause is Cause.SIGNAL
    assert judge(0, noted=EngineEvents(out_of_memory=True)).evidence["oom_killed"] is True


@pytest.mark.parametrize(("code", "cause"), [(1, Cause.EXIT), (0, None)])
def test_full_folders_are_evidence(code: int, cause: Cause | None) -> None:
    """Not a cause: whether a program minds is its own matter."""
    outcome = judge(code, full=["/data", "/out"])
    assert (outcome.cause, outcome.evidence["disk_full"]) == (cause, ["/data", "/out"])
    assert "disk_full" not in judge(code).evidence


@given(
    code=st.sampled_from([0, 3, 137, 139, 143]),
    ran_for=st.floats(0.001, 3),
    timeout=st.floats(0.1, 2),
    signalled=st.booleans(),
    out_of_cpu=st.booleans(),
    lost_sight=st.booleans(),
)
def test_who_ends_by_itself_within_the_limit_is_not_timed_out(
    *, code: int, ran_for: float, timeout: float, signalled: bool, out_of_cpu: bool, lost_sight: bool
) -> None:
    """The engine's times decide, not the clock of a worker that was told late; a worker's signal or CPU time still count."""
    state = ContainerState("c1", Phase.EXITED, NOW, code, started_at=NOW, finished_at=NOW + timedelta(seconds=ran_for))
    limits = Limits(timeout=timeout, cpu_time=1.0 if out_of_cpu else None)
    facts = Facts(
        state, limits, Cause.TIMEOUT, out_of_cpu=out_of_cpu, signalled=signalled, unsure=lost_sight, tally=PeakCounters()
    )
    outcome = verdict(facts)
    by_itself = state.ran_for < timeout and not (signalled and code in {137, 143}) and not out_of_cpu
    assert (outcome.cause is Cause.TIMEOUT) == (not by_itself)
    assert (outcome.evidence.get("ended_for") is None) == by_itself
    if by_itself:
        assert outcome == verdict(Facts(state, limits, None, signalled=signalled, unsure=lost_sight, tally=PeakCounters()))
