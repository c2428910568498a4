"""The command `down`, where no `up` needs to run for it."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import down, main


@pytest.mark.parametrize("flags", [[], ["--now"]])
def test_an_up_that_ends_meanwhile_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    """Between the look for it and the signal."""
    monkeypatch.setattr(down, "APART", 0)
    with subprocess.Popen(["true"]) as gone:
        process = os.pidfd_open(gone.pid)
    monkeypatch.setattr(down, "_running", lambda _: process)
    ended = CliRunner().invoke(main, ["down", "--data", str(tmp_path), *flags], catch_exceptions=False)
    os.close(process)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.endswith("stopped\n")
