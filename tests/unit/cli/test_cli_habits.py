"""What people type who know `docker run`, and what they are told."""

from pathlib import Path

import pytest

from orchestrator.cli.ending import OWN_ERROR
from tests.unit.cli.command_line import CommandLine


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--rm"], "--rm: it is always so here"),
        (["-it"], "-t: a task has no terminal; -i hands it stdin"),
        (["-v", "/x:/x"], "-v: nothing of the host is mounted here; --mount-file"),
        (["--name", "me"], "--name: a task has an id: --id"),
        (["-d"], "-d: use `orchestrator submit`"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_option_of_docker_run_that_is_not_there_is_answered(tmp_path: Path, typed: list[str], words: str) -> None:
    """In one line that says what to do, and nothing is handed in."""
    call = CommandLine(tmp_path, worker=False)
    told = call("run", *typed, "busybox", "true")
    assert told.exit_code == OWN_ERROR
    assert told.stderr.startswith(f"Error: {words}")
    assert call("list", "-o", "id").stdout == ""


def test_an_option_that_is_nowhere_is_told_as_before(tmp_path: Path) -> None:
    """With what is near."""
    told = CommandLine(tmp_path, worker=False)("run", "--memroy", "1g", "busybox")
    assert told.exit_code == OWN_ERROR
    assert "No such option '--memroy'" in told.stderr or "No such option: --memroy" in told.stderr


def test_what_a_cancellation_has_come_to_is_told(tmp_path: Path) -> None:
    """It is cancelled, it had ended, or it still runs."""
    call = CommandLine(tmp_path, worker=False)
    call("submit", "--id", "waits", "busybox", "true")
    assert call("cancel", "waits").stdout == "waits is cancelled\n"
    call("submit", "--id", "done", "busybox", "true")
    call.world.worker().run("done")
    assert call("cancel", "done").stdout.startswith("done had ended already: it is ")


def test_a_task_that_nobody_is_there_to_run_is_told_of(tmp_path: Path) -> None:
    """On stderr, beside the id; with a worker there is nothing to say."""
    told = CommandLine(tmp_path / "without", worker=False)("submit", "--id", "mine", "busybox", "true")
    assert told.stdout == "mine\n"
    assert told.stderr == "no worker takes tasks from queue 'default' now: the task waits until one does\n"
    assert CommandLine(tmp_path / "with")("submit", "--id", "mine", "busybox", "true").stderr == ""
