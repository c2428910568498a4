"""`rm` deletes what is named or what filters find, and says what it did not."""

from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.app import now
from orchestrator.cli import remove
from orchestrator.testing.programs import Program
from tests.support.faults import Fault, Killed, Process, When
from tests.unit.cli.command_line import CommandLine

PROGRAM, FAILING = ("program",), ("failing",)


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    """A command line where four tasks have ended, of which one failed and two are red, and one waits."""
    shell = CommandLine(tmp_path, {PROGRAM: Program(stdout=b"out"), FAILING: Program(exit_code=3)}, worker=False)
    worker = shell.world.worker()
    for task_id, command, team in [("old1", PROGRAM, "red"), ("old2", PROGRAM, "blue"), ("bad3", FAILING, "red")]:
        request = {"image": "busybox", "command": [*command], "labels": {"team": team}}
        shell.client.submit(request, task_id)
        worker.run(task_id)
        store = shell.world.services.store
        store._save({**store.find(task_id), "created_at": now() - timedelta(days=8)})
    shell.client.submit({"image": "alpine", "command": [*PROGRAM]}, "new4")
    worker.run("new4")
    shell.client.submit({"image": "busybox"}, "waits")
    return shell


def ids(shell: CommandLine) -> set[str]:
    """The tasks that are there."""
    return {task.id for task in shell.client.list()}


def test_tasks_are_deleted_by_their_ids(shell: CommandLine) -> None:
    """Or by how these begin; each is printed. A second call finds none."""
    result = shell("rm", "old1", "bad3", "new", "old1")
    assert (result.exit_code, result.stdout) == (1, "old1\nbad3\n")
    assert result.stderr == "Error: there is no task 'new'\n"
    assert ids(shell) == {"old2", "new4", "waits"}
    assert {key.key.split("/")[0] for key in shell.world.services.logs.listed()} == {"old2", "new4"}
    assert shell("rm", "old1").exit_code == 1
    assert shell("rm", "new4").exit_code == 0


def test_what_has_not_ended_is_refused_and_holds_up_nothing_else(shell: CommandLine) -> None:
    """With a sentence on stderr."""
    result = shell("rm", "waits", "old1")
    assert (result.exit_code, result.stdout) == (1, "old1\n")
    assert result.stderr == "Error: task 'waits' has not ended, it is 'queued'; cancel it first, or wait for its end\n"


def test_tasks_are_deleted_by_filters(shell: CommandLine) -> None:
    """A task has to pass all of them; those that have not ended are passed over."""
    assert shell("rm", "--older-than", "7d", "--status", "failed").stdout == "bad3\n"
    assert shell("rm", "--label", "team=red", "--image", "busybox").stdout == "old1\n"
    assert shell("rm", "--cause", "exit").stdout == ""
    assert shell("rm", "--older-than", "7d").stdout == "old2\n"
    assert shell("rm", "--image", "busybox").stdout == ""
    assert ids(shell) == {"new4", "waits"}


def test_all_pages_of_a_list_are_deleted(shell: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    monkeypatch.setattr(remove, "_PAGE", 1)
    assert {*shell("rm", "--older-than", "0.001s").stdout.split()} == {"old1", "old2", "bad3", "new4"}
    assert ids(shell) == {"waits"}


def test_a_dry_run_only_tells(shell: CommandLine) -> None:
    """The ids, or why not."""
    before = ids(shell)
    assert {*shell("rm", "--older-than", "7d", "--dry-run").stdout.split()} == {"old1", "old2", "bad3"}
    result = shell("rm", "--dry-run", "old1", "waits")
    assert (result.exit_code, result.stdout) == (1, "old1\n")
    assert "has not ended" in result.stderr
    assert ids(shell) == before


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["old1", "--status", "failed"]], ids=str)
def test_either_ids_or_filters_are_given(shell: CommandLine, arguments: list[str]) -> None:
    """Nothing is deleted for a typing error."""
    assert shell("rm", *arguments).exit_code == 2
    assert len(ids(shell)) == 5


def test_a_task_that_is_about_to_be_settled_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is told before its container is removed; but not for ever."""
    shell = CommandLine(tmp_path, {PROGRAM: Program()}, worker=False)
    shell.client.submit({"image": "busybox", "command": [*PROGRAM]}, "task")
    with pytest.raises(Killed):
        shell.world.worker(Process([Fault("settle", 1, When.BEFORE, Killed())])).run("task")
    monkeypatch.setattr(remove, "_PATIENCE", 0.0)
    result = shell("rm", "task")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "its worker has not released all that it had; try again in some seconds" in result.stderr
    assert "1 tasks are left" in shell("rm", "--image", "busybox").stderr
    monkeypatch.setattr(remove, "_PATIENCE", 60.0)
    shell.world.expire_leases()
    monkeypatch.setattr(remove.time, "sleep", lambda _: shell.world.sweep().once(30))
    assert shell("rm", "task").stdout == "task\n"
