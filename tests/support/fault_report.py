"""What the suite measures: a line of JSON for each fault and moment, from which the table of docs/reliability.md is made."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

RESULTS = "FAULT_RESULTS"
"""The environment variable that names the file; without it nothing is written."""


def note(row: int, fault: str, moment: str, recovered: Sequence[float], since: str, runs: int | None = None) -> None:
    """Say that all invariants held ``runs`` times. ``recovered``: seconds to recover, counted as ``since`` says."""
    _write(row, fault, moment, len(recovered) if runs is None else runs, [round(each, 2) for each in recovered], since, "")


def not_run(row: int, fault: str, reason: object) -> NoReturn:
    """Say why a fault cannot be had on this machine, and skip the test."""
    _write(row, fault, "", 0, [], "", str(reason).splitlines()[0])
    pytest.skip(f"{fault}: {reason}")


def _write(row: int, fault: str, moment: str, runs: int, seconds: list[float], since: str, reason: str) -> None:
    line = {"row": row, "fault": fault, "moment": moment, "runs": runs, "seconds": seconds, "since": since, "reason": reason}
    if where := os.environ.get(RESULTS):
        with Path(where).open("a") as file:
            file.write(json.dumps(line) + "\n")


def long() -> bool:
    """Whether the long form is asked for, as `make faults` does."""
    return bool(os.environ.get("FAULT_LONG"))


def duration(short: float) -> float:
    """Seconds for a loop: DURATION, or the short form's."""
    return float(os.environ.get("DURATION") or short)
