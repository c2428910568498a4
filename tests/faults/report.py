"""What the suite measures: a line of JSON for each row, from which the table of docs/reliability.md is made."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.fault_form import long
from tests.support.fault_proof import Held
from tests.support.fault_rows import Row

RESULTS = "FAULT_RESULTS"
"""The environment variable that names the file; without it nothing is written."""


def note(row: Row, held: Held, recovered: Sequence[float] = (), *, runs: int | None = None, detail: str = "") -> None:
    """Say that these invariants held ``runs`` times. ``recovered``: seconds to recover, counted as the row says."""
    assert held.again == row.again, f"{row.name} was proven with {held.again}"
    _write(row, held.invariants, [round(each, 2) for each in recovered], len(recovered) if runs is None else runs, detail, "")


def not_run(row: Row, reason: object) -> NoReturn:
    """Say why a fault cannot be had on this machine, and skip the test."""
    _write(row, "", [], 0, "", str(reason).splitlines()[0])
    pytest.skip(f"{row.fault}: {reason}")


def _write(row: Row, held: str, seconds: list[float], runs: int, detail: str, reason: str) -> None:
    measured = {"held": held, "seconds": seconds, "runs": runs, "detail": detail, "reason": reason}
    if where := os.environ.get(RESULTS):
        with Path(where).open("a") as file:
            file.write(json.dumps({"row": row.name, "long": long(), **measured}) + "\n")


def duration(short: float) -> float:
    """Seconds for a loop: DURATION, or the short form's."""
    return float(os.environ.get("DURATION") or short)
