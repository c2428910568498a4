"""The demo, as `make demo` calls it without a terminal."""

import re
import subprocess
import sys
from pathlib import Path

from orchestrator.folder_lock import hold
from tests.support.up import clean_environment

ROOT = Path(__file__).resolve().parents[2]


def demo(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The demo in a folder of its own."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo.py"],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_runs_every_program_to_the_end_it_has_to_have(tmp_path: Path) -> None:
    """It checks that itself; what it prints names each program, its cause and its log."""
    done = demo(tmp_path)
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
        "Starting Valkey, SecantusDB, SeaweedFS and a worker",
    ):
        assert words in done.stdout
    assert len(re.findall(r"http://127\.0\.0\.1:\d+/\?token=orc_", done.stdout)) == 1
    assert "up --data .orchestrator/demo\n\nIt prints the address of a page." in done.stdout
    assert "\x1b" not in done.stdout
    assert "DEBUG" not in done.stdout + done.stderr


def test_a_demo_whose_servers_do_not_start_ends_in_their_sentence(tmp_path: Path) -> None:
    """Here because another `up` runs in the folder."""
    folder = tmp_path / ".orchestrator" / "demo"
    with hold(folder):
        done = demo(tmp_path)
    assert done.returncode == 1
    reason = "another one runs in .orchestrator/demo; use that, stop it, or name another folder with --data"
    assert done.stderr == f"Error: up: {reason}\n"
    assert done.stdout == "Starting Valkey, SecantusDB, SeaweedFS and a worker\n"
