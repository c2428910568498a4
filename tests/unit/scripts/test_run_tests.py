"""The two lanes of the tests: every folder is in one of them, and what fails in either is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.run_tests import ENGINE, NOTHING_RAN, judged

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("statuses", "judgement"),
    [
        ([0, 0], 0),
        ([0, 1], 1),
        ([2, 0], 2),
        ([0, NOTHING_RAN], 0),
        ([NOTHING_RAN, 1], 1),
        ([NOTHING_RAN, NOTHING_RAN], NOTHING_RAN),
    ],
)
def test_the_worse_lane_decides(statuses: list[int], judgement: int) -> None:
    """A lane in which no test was chosen is no failure, unless there is no test at all."""
    assert judged(statuses) == judgement


def test_folders_of_the_lane_with_the_engine_are_there() -> None:
    """A folder of another name would run twice, or never."""
    assert all((ROOT / folder).is_dir() for folder in ENGINE)


@pytest.mark.parametrize(("where", "status"), [("tests/unit", 1), ("tests/abuse", 1), ("tests/support", 0)])
def test_a_failure_in_either_lane_fails_the_run(tmp_path: Path, where: str, status: int) -> None:
    """And what the lane beside printed is printed."""
    for folder in (*ENGINE, "tests/unit", "tests/support"):
        (tmp_path / folder).mkdir(parents=True)
        name = f"test_{folder.replace('/', '_')}.py"
        (tmp_path / folder / name).write_text(f"def test_it():\n    assert {folder != where or where == 'tests/support'}\n")
    command = [
        sys.executable,
        "-c",
        "import sys; from scripts.run_tests import main; sys.exit(main(['-q', '-p', 'no:cacheprovider']))",
    ]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "beside them, all other tests" in done.stdout
    assert ("1 failed" in done.stdout) == bool(status)
