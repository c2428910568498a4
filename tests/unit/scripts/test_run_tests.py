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
    done = _run(tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert "beside them, all other tests" in done.stdout
    assert ("1 failed" in done.stdout) == bool(status)


def test_ci_ends_soon_where_all_tests_fail(tmp_path: Path) -> None:
    """Each may have waited for its deadline; a run by hand goes through all of them."""
    for folder in (*ENGINE, "tests/unit"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tests/abuse/test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('number', range(50))\ndef test_it(number):\n    assert False\n"
    )
    assert "50 failed" in _run(tmp_path).stdout
    ended = _run(tmp_path, CI="true")
    assert "20 failed" in ended.stdout
    assert ended.returncode == 1


def _run(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    call = "import sys; from scripts.run_tests import main; sys.exit(main(['-q', '-p', 'no:cacheprovider']))"
    own = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run([sys.executable, "-c", call], check=False, cwd=folder, env=own, capture_output=True, text=True)
