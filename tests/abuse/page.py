"""Writes what the abuse suite found as a page of the documentation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.support.abuse_program import Program, Ran

HEAD = """\
<!-- Made by `make abuse`; edits here are lost. -->

# Isolation

Hostile programs, each run as a task through a real worker process on a real engine, side by side. After each one: nothing of
it is left on the host (containers, volumes, processes, control groups, spool), the next task runs and finds nothing in
`/tmp`, `/dev/shm`, message queues and shared memory, and the worker's memory (proportional set size) is at most {room} MiB
above what it was once warm, others flooding it at the same time. After all of them it is at most {flat} MiB above that:
{warm} MiB before, {final} MiB after. What it kept, it keeps once: those of output and input are then run again, as often as
it takes, {most} times at most, until a round adds no more than {little} MiB. All of it is asserted by `make test`. What is
promised, and what is not, is in [security](security.md).

{total} programs, {held} held.
"""
INEXACT = """
## Not exact

- Peaks are those of the container: its start is in them, some 4 MiB and up to 8 threads for a moment.
- Seconds are from insert to settled, beside five others on the machine that made this page; "at most" is for a machine on which
  no process waits for a CPU.
- The worker's memory grew most, by {step} MiB, while one program ran and others beside it: {where}.
  When those of output and input were run again, it changed by {rounds} MiB, round by round.
"""
_COLUMNS = "| program | expected | got | evidence | s | worker MiB |\n|---|---|---|---|---|---|\n"
_ROW = "| {does} | {expected} | {got} | {evidence} | {seconds:.1f} | {before} → {after} |\n"


@frozen
class Memory:
    """The worker's, in bytes: warm and in the end, how it changed in each round of repeats, and what is asserted of all that.

    ``rounds`` is the most of them; the last one may add no more than ``little``.
    """

    warm: int
    final: int
    again: Sequence[int]
    room: int
    flat: int
    little: int
    rounds: int


def write(path: Path, ran: Sequence[Ran], memory: Memory) -> None:
    """One table for each group, and what is not exact."""
    text = HEAD.format(
        warm=memory.warm >> 20,
        final=memory.final >> 20,
        room=memory.room >> 20,
        flat=memory.flat >> 20,
        little=memory.little >> 20,
        most=memory.rounds,
        total=len(ran),
        held=sum(not each.left and not each.next_saw for each in ran),
    )
    for group in dict.fromkeys(each.program.group for each in ran):
        text += f"\n## {group.capitalize()}\n\n{_COLUMNS}"
        text += "".join(_row(each) for each in ran if each.program.group == group)
    grew = max(ran, key=lambda each: each.after - each.before)
    text += INEXACT.format(
        step=(grew.after - grew.before) >> 20,
        where=_cell(grew.program.name),
        rounds=", ".join(f"{change / (1 << 20):+.1f}" for change in memory.again),
    )
    text += "".join(inexact([each.program for each in ran]))
    path.write_text(text, encoding="utf-8")


def shown(program: Program) -> str:
    """The program's first cell."""
    return _cell(program.does + (" (*)" if program.inexact else ""))


def expected(program: Program) -> str:
    """Its second."""
    return _cell("; ".join(filter(None, [_verdict(program.status, program.cause, program.code), program.must])))


def inexact(programs: Iterable[Program]) -> list[str]:
    """A line for each whose verdict is not exact."""
    return [f"- {program.name}: {program.inexact}.\n" for program in programs if program.inexact]


def _row(ran: Ran) -> str:
    program, document = ran.program, ran.seen.document
    proof = program.proof(ran.seen)
    facts = list(_facts(document["evidence"]))
    return _ROW.format(
        does=shown(program),
        expected=expected(program),
        got=_verdict(document["status"], document["cause"], document["exit_code"]),
        evidence=_cell("; ".join(filter(None, [proof, *facts]))),
        seconds=ran.seconds,
        before=ran.before >> 20,
        after=ran.after >> 20,
    )


def _verdict(status: str, cause: str | None, code: int | None) -> str:
    shown = "" if code is None or (code == 0 and status == "succeeded") else str(code)
    return " ".join(filter(None, [status, cause, shown]))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _facts(evidence: Mapping[str, Any]) -> Iterator[str]:
    if by := evidence.get("ended_by"):
        yield f"ended by {by}"
    for name, value in evidence.get("counted", {}).items():
        if name in _COUNTED and value:
            yield _COUNTED[name].format(value / (1 << 20) if name.endswith("bytes") else value)


_COUNTED = {"memory_peak_bytes": "peak {:.0f} MiB", "pids_peak": "{:.0f} pids", "oom_kills": "{:.0f} oom kills"}
