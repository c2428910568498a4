"""Write docs/reliability.md from what the fault suite measured: ``python -m scripts.reliability RESULTS PAGE``.

RESULTS has a line of JSON for each row, written by ``tests/faults/report.py`` in runs of the long form. Where a row
is missing or stands double, the page is left as it is.
"""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.fault_rows import Row

HEAD = """<!-- Made by `make faults`; edits here are lost. -->

# What the worker survives

Made by `make faults` from `tests/faults`: real worker processes, real servers, a real Docker engine. A row whose test was cut
short, or failed because the machine was busy with something else, was run again by itself before the page was made. Nothing in
the product knows of the tests: processes are killed and frozen by signals, servers are killed, and proxies stand on the way to
each of them. The rows are listed in `tests/support/fault_rows.py`, and the page is written only when each has been noted once.
A row is noted only when all invariants that it names held for all tasks of all its runs.

## The invariants, and what is compared

- **I1, one end.** The history in MongoDB has one row with a terminal status, the last one. Status, cause, exit code, logs,
  metrics and history are read when the task has ended and again after another delivery of its id and some sweeps: they are the
  same. Where the ending is known beforehand, it is that one. Under faults at random it may also be a failure of infrastructure
  or upload, a cancellation where somebody asked for it, or a lost or killed container where a fault removed one.
- **I2, whole events.** The rows in MongoDB are 1..n, and each begins where the one before it ended. A subscriber that was there
  from the start, through all outages, and one that comes afterwards get the same rows, once each and in order. A document that
  cannot be read has subscribers from its end on. These read MongoDB, too; a listener that has Redis alone hears each row at
  least once, and for the first time in order. Only where Redis itself was restarted may it miss what that had published
  before it listened again: what was published is not repeated for those who were away.
- **I3, run once unless the row says why not.** The engine's own events, listened to from outside, have at most so many starts
  of a task's program, over all its attempts and containers, as the column "starts" allows: one, and more only where it says
  why. Each retry that the task itself asked for and that follows a failure of its program adds one. The task has no more
  attempts than starts are allowed, so where another worker has to go on with a program, its attempt is 1. Nothing starts after
  an exit with 0 that the engine told of, unless the engine itself ended the program. The output holds the program's first line
  once. Events that a killed engine took with it are not counted.
- **I4, nothing left.** The engine is asked for containers and volumes with the task's label, the spool folder is listed, and
  object storage is asked for uploads of the task that were begun and not completed: all come back empty.
- **I5, whole log.** Each program writes bytes that are known beforehand. The object is read back from S3: its SHA-256 is that
  in the document, that in its metadata if it has one, and that of the known bytes. Of a program that was ended by force before
  all of them were out, or whose container was removed by the fault, it is a beginning of them; only such a container's log may
  be marked truncated.
- **I6, no slot lost.** As many new tasks as a worker that went through it has slots are handed in, and the history shows that
  all ran at the same time; of a worker that was killed, the one that took its tasks over is asked. Where the row's workers have
  one slot each, the next task of each runs.

## The kill points

Every call of a port, every public step on the spool and its tail, and every method that keeps RQ's records has a name
(`tests/support/fault_points.py`, `tests/support/fault_steps.py`); the names are taken from the code. A run that nothing happens
to is recorded; then a worker of its own is killed before each call that the task's own thread made in the recording, and before
the first of each kind that the threads beside it made. A method that no kill is aimed at fails the suite by name, unless
`tests/faults/test_fault_kill_points.py` or `fault_steps.py` says why it needs none. Within such a method no kill is aimed
anywhere.

## Workers without a guard

The rows can fail: workers that lack one guard (`tests/support/fault_mutants.py`) were run through tests of rows, and each
failed its row by what was compared. One runs again what another worker started, one takes each exit for the engine's shutdown,
one stores without its token, one publishes before it stores, one sweeps away containers that it does not know, one
takes a copy of the database for the original.
`tests/faults/test_fault_mutants.py` names the rows. The page is written only where all of these failed.

## What is not in it

- A jump of the clock of the engine's host. It counts for a task that another worker took over, whose time limit runs by
  that clock: one that jumps ahead while the program runs may end it early as timed out, one that jumps back lets it run longer.
  If it jumps ahead by more than the limit, STOP_GRACE and a minute, another worker of the engine may end any program.
- Object storage that is away for longer than UPLOAD_BUDGET; unit tests see what becomes of the log.
- The faults at random are those that their row names with how often each was drawn; clocks (16), registries (8)
  and kills at a chosen moment (1, 14) are not among them.
- An engine that is killed while it starts a container may leave that container's first process behind, which never becomes the
  program and which the engine does not know any more. Its control group cannot be removed, so the task has ended but is not
  settled, and each sweep says so. The faults at random wait until no container is being started before they restart the engine.
- A worker that is frozen while its program writes more than about 1 MB. The engine waits until it reads on, also when another
  worker has adopted the task; the program goes on, or can be ended, once the frozen one is thawed or dies.
- A program that failed by a KILL or a TERM, or with exit code 255, while no worker was there, before its engine was restarted
  without live-restore. It looks like one that the engine took down: it runs again, in a new attempt. The other way round, one
  that traps TERM and exits with another code than 0 as its engine goes down counts as failed, if its worker went down with it.

## The table

Seconds to recover: measured from what to what is said in the last column; a dash where there is nothing to wait for. A task
that was settled before anybody had to claim it counts until that was seen.

| # | fault | moment | starts | runs | invariants held | median s | worst s | counted from |
|---|---|---|---|---|---|---|---|---|
"""

Line = Mapping[str, Any]


class Incomplete(Exception):
    """What was measured is not one whole run of the long form."""


def main(results: Path, page: Path) -> int:
    """Read the results and write the page; the exit code."""
    try:
        page.write_text(made([json.loads(line) for line in results.read_text().splitlines()]), encoding="utf-8")
    except Incomplete as reason:
        print(f"{page} is left as it was: {reason}", file=sys.stderr)
        return 1
    return 0


def made(lines: Sequence[Line]) -> str:
    """The page. Raises Incomplete."""
    noted = Counter(str(line["row"]) for line in lines)
    wrong = {
        "not noted": [row.name for row in Row if row.name not in noted],
        "noted more than once": [name for name, times in noted.items() if times > 1],
        "no rows of tests/support/fault_rows.py": [name for name in noted if name not in Row.__members__],
        "of the short form": [line["row"] for line in lines if not line["long"]],
    }
    if any(wrong.values()):
        raise Incomplete("; ".join(f"{what}: {', '.join(names)}" for what, names in wrong.items() if names))
    by_row = {line["row"]: line for line in lines}
    return HEAD + "".join(_row(row, by_row[row.name]) for row in Row)


def beginning(row: Row) -> str:
    """What a row begins with, whatever was measured."""
    return f"| {row.number} | {row.fault} | {row.moment}"


def _row(row: Row, line: Line) -> str:
    seconds = line["seconds"]
    median, worst = (f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}") if seconds else ("-", "-")
    runs = line["runs"] or f"not run: {line['reason']}"
    detail = f"; {line['detail']}" if line["detail"] else ""
    since = row.since if seconds else "-"
    return f"{beginning(row)}{detail} | {row.starts} | {runs} | {line['held'] or '-'} | {median} | {worst} | {since} |\n"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
