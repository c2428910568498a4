"""Decides what became of a program, from facts: the engine's state, who ended it, and what was counted. Pure."""

from collections.abc import Sequence

from attrs import evolve, field, frozen

from orchestrator.cause import Cause
from orchestrator.outcome.signal_names import signal_name
from orchestrator.outcome.usage import PeakCounters
from orchestrator.ports import ContainerState, EngineEvents, Figure
from orchestrator.task.limits import Limits
from orchestrator.task.units import format_size
from orchestrator.task.values import Outcome

_ANYBODYS = frozenset({"SIGKILL", "SIGTERM"})
_BY_SIGNAL = 128
"""The exit status of a program that a signal ended is this and the signal's number."""
_PAGES = 1 << 20
_NEAR = 0.5
"""Above this part of its limit a program may have met the limit, with the rest of its memory swapped out."""
_MANY = 16
"""More processes and threads than the start of a container has for a moment, which are not held to its limit."""

KILLED = frozenset({137, 143})
"""Exit codes of a program that got KILL or TERM."""


@frozen
class Facts:
    """All that is known of an exited container.

    ``ended_for`` says why the worker ended it or was about to; ``out_of_cpu`` that its time was CPU time; ``noted`` what the
    engine remembers of it; ``signalled`` that a worker sent it a signal, or was about to and nobody knows whether it did;
    ``unsure`` that this may be so although the worker does not know of it, because it took the program over or the engine was
    away; ``full`` names its folders without room at its end; ``unsure_of_input`` that a worker left while it may have been
    writing the program's input.
    """

    state: ContainerState
    limits: Limits
    ended_for: Cause | None = None
    out_of_cpu: bool = False
    noted: EngineEvents = field(factory=EngineEvents)
    tally: PeakCounters = field(factory=PeakCounters)
    signalled: bool = False
    unsure: bool = False
    full: Sequence[str] = ()
    unsure_of_input: bool = False

    @property
    def too_late(self) -> bool:
        """Whether the program had ended before a worker could end it.

        A program that passes its limit of output gets KILL alone, and no program outlives that with another exit code.
        """
        sent = set(self.noted.signals) if self.unsure else set()
        if self.ended_for is Cause.OUTPUT_LIMIT and self.signal != "SIGKILL":
            return not sent - {"SIGKILL"}
        return not self.signalled and not sent

    @property
    def signal(self) -> str | None:
        """The name of the signal that the exit code stands for."""
        return signal_name(self.state.exit_code - _BY_SIGNAL)

    @property
    def in_time(self) -> bool:
        """Whether the program ended by itself within its time limit, by the engine's own times.

        The worker's clock does not count then: a busy engine reports an end late, and the limit may have passed since.
        """
        told = self.state.started_at is not None and self.state.finished_at is not None
        ended = self.signalled and self.signal in _ANYBODYS
        return told and not ended and not self.out_of_cpu and self.state.ran_for < self.limits.timeout

    @property
    def kills(self) -> float:
        """How many of its processes the kernel has killed for want of memory, as far as that was counted."""
        return self.tally.get(Figure.OOM_KILLS, 0)

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of it at its limit.

        The kernel's counts decide where both are known: kills, and how often the limit was met. A kill for want of memory of
        the host, or of all tasks together, is none at the task's limit. The engine's word is late or missing at times with
        version 2 of control groups, so it decides only where the kernel's is not known. Linux before 5.19 has no peak there.
        """
        at_limit = self.tally.get(Figure.MEMORY_PEAK, 0) >= self.limits.memory - _PAGES
        counted = self.kills > 0 and (at_limit or self.tally.get(Figure.MEMORY_REFUSED, 0) > 0)
        if {Figure.OOM_KILLS, Figure.MEMORY_REFUSED} <= self.tally.figures.keys():
            return counted
        return self.state.oom_killed or self.noted.out_of_memory or counted

    @property
    def unexplained(self) -> bool:
        """Whether the engine may know more: neither worker nor kernel account for its signal, or no kills were counted."""
        uncounted = Figure.OOM_KILLS not in self.tally.figures and not (self.had_room and self.signal is None)
        untold = self.signal in _ANYBODYS or uncounted or (self.unsure and self.ended_for)
        return bool(untold) and not self.signalled and not self.out_of_memory

    @property
    def had_room(self) -> bool:
        """Whether it never came near its limit of memory, by the peak that the kernel has kept over its end."""
        peak = self.state.counted.figures.get(Figure.MEMORY_PEAK, 0) if self.state.counted else 0
        return 0 < peak < self.limits.memory * _NEAR


def verdict(facts: Facts) -> Outcome:
    """The outcome of an exited container.

    The worker's own reason comes first, then the kernel's (oom), then the program's (signal, exit). A time limit is a reason
    only if the program did not end by itself within it. A program that exits 0 has succeeded although a child of it was killed
    for memory; the evidence says so.
    """
    if facts.ended_for is Cause.TIMEOUT and facts.in_time:
        facts = evolve(facts, ended_for=None)
    cause = facts.ended_for or _own_cause(facts)
    sentence = _sentence(cause, facts) + (_UNSURE_OF_INPUT if facts.unsure_of_input else "")
    return Outcome(facts.state.exit_code, cause, sentence, _evidence(facts))


def lost(name: str, ended_for: Cause | None) -> Outcome:
    """The outcome when the container is gone before the worker could ask for its exit code."""
    return Outcome(None, ended_for or Cause.CONTAINER_LOST, f"the container {name} was removed while its task was running", {})


def _own_cause(facts: Facts) -> Cause | None:
    if facts.state.exit_code == 0:
        return None
    if facts.out_of_memory:
        return Cause.OOM
    return Cause.SIGNAL if facts.signal else Cause.EXIT


def _evidence(facts: Facts) -> dict[str, object]:
    state = facts.state
    evidence: dict[str, object] = {
        "ended_by": _ended_by(facts),
        "ended_for": "cpu_time" if facts.out_of_cpu else facts.ended_for and facts.ended_for.value,
        "signal": facts.signal,
        "oom_killed": facts.out_of_memory,
        "ran_for_s": round(state.ran_for, 3),
        "engine_error": state.error or None,
        "engine_signals": list(facts.noted.signals) or None,
        "pids_limit": _pids(facts),
        "disk_full": list(facts.full) or None,
        "input": "unknown" if facts.unsure_of_input else None,
        "counted": {figure.value: _plain(value) for figure, (value, _) in facts.tally.figures.items()},
    }
    return {name: value for name, value in evidence.items() if value is not None}


def _plain(value: float) -> float:
    return int(value) if value == int(value) else round(value, 3)


def _ended_by(facts: Facts) -> str:
    """Who ended it: ``program`` by itself, ``worker``, ``kernel`` for memory, ``engine`` at the wish of another client of it.

    ``unknown`` is a KILL that none of these tells of: the program's own, or that of somebody on the host.
    """
    if facts.ended_for and facts.signal in _ANYBODYS and not facts.too_late:
        return "worker"
    if (facts.out_of_memory or facts.kills > 0) and facts.signal == "SIGKILL":
        return "kernel"
    if facts.signal and facts.signal in facts.noted.signals:
        return "engine"
    return "unknown" if facts.signal == "SIGKILL" else "program"


def _pids(facts: Facts) -> dict[str, object] | None:
    """Whether the program met its limit of processes: the kernel counts what it refused, or the peak is the limit."""
    refused = facts.tally.get(Figure.PIDS_REFUSED, 0)
    if not refused and not facts.tally.get(Figure.PIDS_PEAK, 0) == facts.limits.pids > _MANY:
        return None
    return {"limit": facts.limits.pids, "refused": int(refused) or None}


def _sentence(cause: Cause | None, facts: Facts) -> str:
    limits = facts.limits
    too_late = facts.ended_for and facts.too_late
    sentence = (_TOO_LATE if too_late else _SENTENCES).get(_variant(cause, facts))
    if sentence is None:
        meaning = cause.rule.meaning if cause else ""
        return f"{meaning}, {_BY_ITSELF}" if too_late else meaning
    return sentence.format(
        code=facts.state.exit_code,
        signal=facts.signal,
        timeout=f"{limits.timeout:g}",
        cpu_time=f"{limits.cpu_time or 0:g}",
        memory=format_size(limits.memory),
        output=format_size(limits.output),
    )


def _variant(cause: Cause | None, facts: Facts) -> str | None:
    """The cause, with what tells its sentences apart where it has several."""
    if cause is Cause.TIMEOUT and facts.out_of_cpu:
        return f"{cause}, cpu"
    if cause is Cause.OOM and facts.signal != "SIGKILL":
        return f"{cause}, inside"
    if cause is Cause.SIGNAL and _ended_by(facts) in {"kernel", "engine"}:
        return f"{cause}, {_ended_by(facts)}"
    return cause


_SENTENCES: dict[str | None, str] = {
    None: "the program exited with status 0",
    Cause.EXIT: "the program exited with status {code}",
    Cause.SIGNAL: "the program ended with status {code}: by {signal}, or by an exit with that status",
    f"{Cause.SIGNAL}, engine": "the program was ended by {signal} (exit status {code}), which a client of the engine sent",
    f"{Cause.SIGNAL}, kernel": (
        "the kernel ended the program by {signal} below its memory limit of {memory}: "
        "the host, or the group of all tasks, was out of memory"
    ),
    Cause.OOM: "the kernel ended the program at its memory limit of {memory}",
    f"{Cause.OOM}, inside": "the kernel ended a process of it at the memory limit of {memory}; the program exited with {code}",
    Cause.OUTPUT_LIMIT: "the program was ended because a stream passed its limit of {output}",
    Cause.TIMEOUT: "the program was ended after its time limit of {timeout} s",
    f"{Cause.TIMEOUT}, cpu": "the program was ended after it had used its CPU time of {cpu_time} s",
    Cause.CANCELLED: "the program was ended because the task was cancelled",
}
"""Sentences with figures; any other cause is told by its rule's meaning."""
_UNSURE_OF_INPUT = "; its worker left before, and nobody knows whether it got all of its input"
_BY_ITSELF = "but the program had ended before the worker could end it"
_TOO_LATE: dict[str | None, str] = {
    Cause.OUTPUT_LIMIT: f"a stream passed its limit of {{output}}, {_BY_ITSELF}",
    Cause.TIMEOUT: f"the time limit of {{timeout}} s passed, {_BY_ITSELF}",
    f"{Cause.TIMEOUT}, cpu": f"the CPU time of {{cpu_time}} s was used up, {_BY_ITSELF}",
    Cause.CANCELLED: f"the task was cancelled, {_BY_ITSELF}",
}
