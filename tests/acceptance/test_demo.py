"""The demo, as `make demo` calls it where nobody looks at a screen."""

import subprocess
import sys
from pathlib import Path

from tests.support.up import clean_environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_runs_every_program_to_the_end_it_has_to_have(tmp_path: Path) -> None:
    """It checks that itself; what it prints names each program, its cause and its log."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo.py"],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "All 8 ended as they should",
        "oom",
        "timeout",
        "output_limit",
        "signal",
        "/1/stdout",
        ": 41538 primes",
        "files    succeeded",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
