"""Write docs/reliability.md from what the fault suite measured: ``python -m scripts.reliability RESULTS PAGE``.

RESULTS has a line of JSON for each fault and moment, written by ``tests/support/fault_report.py``.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

_HEAD = """# What the worker survives

Made by `make faults` from the runs of `tests/faults`: real worker processes, real servers, a real Docker engine. A line is
there only if every one of its runs held all six invariants. Nothing in the product knows of the tests: processes are killed
and frozen by signals, servers are killed, and proxies stand on the way to each of them.

## The invariants, and what is compared

- **I1, one end.** The history in MongoDB has one row with a terminal status, the last one. Status, cause, exit code, logs,
  metrics and history are read when the task has ended and again after another delivery of its id and some sweeps: they are the
  same. Where the ending is known beforehand, it is that one.
- **I2, whole events.** The rows in MongoDB are 1..n, and each begins where the one before it ended. A subscriber that was there
  from the start, through all outages, and one that comes afterwards get the same rows, once each and in order.
- **I3, run once.** The engine's own events, listened to from outside, have at most one start for each attempt of each task,
  over all containers with the attempt's labels; and the output holds the program's first line once.
- **I4, nothing left.** The engine is asked for containers and volumes with the task's label, and the spool folder is listed:
  both come back empty.
- **I5, whole log.** Each program writes bytes that are known beforehand. The object is read back from S3: its SHA-256 is that
  in the document, that in its metadata and that of the known bytes. Of a program that was ended by force it is a beginning of
  them; a log that is marked truncated is, too.
- **I6, no slot lost.** As many new tasks as the worker has slots are handed in, and the history shows that all ran at the same
  time.

## The kill points

Every call of a port, every step on the spool and every record for RQ has a name (`tests/support/fault_points.py`). A run that
nothing happens to is recorded; then a worker of its own is killed before each call of the recording, so a call that is added to
the code is a kill point from its first day. A call of a port that no run of the suite makes fails it by name.

## The table

Seconds to recover: measured from what to what is said in the last column; a dash where there is nothing to wait for.

| # | fault | moment | runs | median s | worst s | counted from |
|---|---|---|---|---|---|---|
"""


def main(results: Path, page: Path) -> None:
    """Read the results and write the page."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    page.write_text(_HEAD + "".join(_row(line) for line in sorted(lines, key=lambda line: int(line["row"]))))


def _row(line: dict[str, Any]) -> str:
    seconds = line["seconds"]
    median, worst = (f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}") if seconds else ("-", "-")
    runs = line["runs"] or f"not run: {line['reason']}"
    return f"| {line['row']} | {line['fault']} | {line['moment']} | {runs} | {median} | {worst} | {line['since'] or '-'} |\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
