"""Decides what became of a program, from facts: the engine's state and who ended it. Pure."""

import signal

from orchestrator.cause import Cause
from orchestrator.ports import ContainerState
from orchestrator.quantity import format_size
from orchestrator.request import Limits
from orchestrator.task import Outcome

_SIGNALS = {128 + number: number for number in signal.Signals}


def verdict(state: ContainerState, ended_for: Cause | None, limits: Limits) -> Outcome:
    """The outcome of an exited container; ``ended_for`` says why the worker ended it, or None when it did not.

    The worker's own reason comes first, then the kernel's (oom), then the program's (signal, exit). A program that exits 0 has
    succeeded although a child of it was killed for memory; the evidence says so.
    """
    evidence: dict[str, object] = {"oom_killed": state.oom_killed, "ran_for_s": round(state.ran_for, 3)}
    if state.error:
        evidence["engine_error"] = state.error
    if state.exit_code in _SIGNALS:
        evidence["signal"] = signal.Signals(_SIGNALS[state.exit_code]).name
    cause = ended_for or _own_cause(state)
    return Outcome(state.exit_code, cause, _sentence(cause, state, limits), evidence)


def lost(name: str) -> Outcome:
    """The outcome when the container is gone before the worker could ask for its exit code."""
    return Outcome(None, Cause.CONTAINER_LOST, f"the container {name} was removed while its task was running", {})


def _own_cause(state: ContainerState) -> Cause | None:
    if state.exit_code == 0:
        return None
    if state.oom_killed:
        return Cause.OOM
    return Cause.SIGNAL if state.exit_code in _SIGNALS else Cause.EXIT


def _sentence(cause: Cause | None, state: ContainerState, limits: Limits) -> str:
    return _SENTENCES[cause].format(
        code=state.exit_code,
        signal=signal.Signals(_SIGNALS[state.exit_code]).name if state.exit_code in _SIGNALS else "",
        timeout=f"{limits.timeout:g}",
        memory=format_size(limits.memory),
        output=format_size(limits.output),
    )


_SENTENCES = {
    None: "the program exited with status 0",
    Cause.EXIT: "the program exited with status {code}",
    Cause.SIGNAL: "the program was ended by {signal} (exit status {code})",
    Cause.OOM: "the kernel ended the program at its memory limit of {memory}",
    Cause.OUTPUT_LIMIT: "the program was ended because a stream passed its limit of {output}",
    Cause.TIMEOUT: "the program was ended after its time limit of {timeout} s",
    Cause.CANCELLED: "the program was ended because the task was cancelled",
}
