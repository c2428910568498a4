"""Figures about many tasks on the command line."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.ending import MISUSED
from orchestrator.cli.spark import spark
from orchestrator.ports import WorkerRecord
from orchestrator.testing.queue import MemoryQueue
from tests.support.stored import NOON
from tests.unit.cli.command_line import CommandLine


def site(folder: Path) -> CommandLine:
    """Where one task has succeeded, one waits, and one worker is known, whose name is not friendly."""
    call = CommandLine(folder, worker=False)
    call("submit", "--id", "done", "busybox", "true")
    call.world.worker().run("done")
    call("submit", "--id", "waits", "busybox", "true")
    queue = call.world.services.queue
    assert isinstance(queue, MemoryQueue)
    queue.take()
    queue.known = [WorkerRecord("one\x1b[31m", "host", 7, "engine", 4, ("t1", "t2"), "busy", NOON, NOON)]
    return call


def test_figures_are_told_as_json(tmp_path: Path) -> None:
    """For scripts, with times in ISO 8601."""
    told = json.loads(site(tmp_path)("stats", "--json", "--window", "10m").stdout)
    assert told["window"] == 600
    assert (told["tasks"]["succeeded"], told["tasks"]["queued"], told["queue"]["length"]) == (1, 1, 1)
    assert told["ends"] == {"succeeded": 1, "failed": 0, "timed_out": 0}
    assert told["workers"][0]["last_heartbeat"] == "2030-05-17T12:00:00.123+00:00"


def test_figures_are_told_to_people(tmp_path: Path) -> None:
    """What a name says is shown as text."""
    told = site(tmp_path)("stats").stdout
    assert "1 waiting, the first one for" in told
    assert "1 queued, 1 succeeded" in told
    assert "2/4" in told
    assert "t1 t2" in told
    assert "\x1b" not in told


def test_a_deployment_without_workers_says_so(tmp_path: Path) -> None:
    """That may be why nothing gets done."""
    told = CommandLine(tmp_path, worker=False)("stats").stdout
    assert "no worker takes tasks from this queue" in told
    assert "0 waiting\n" in told.replace(" \n", "\n").replace("  ", "")


@pytest.mark.parametrize("window", ["0", "soon", "-5", "100000d"])
def test_a_window_that_is_none_is_refused(tmp_path: Path, window: str) -> None:
    """In a sentence that names the flag."""
    told = CommandLine(tmp_path, worker=False)("stats", "--window", window)
    assert told.exit_code == MISUSED
    assert "'--window'" in told.stderr


def test_a_line_of_blocks_has_the_scale_of_its_values() -> None:
    """From 0; where there are more values than blocks, a block has the most of its own."""
    assert spark([]) == ""
    assert spark([0.0, 0.0]) == "▁▁"
    assert spark([0.0, 1.0, 2.0]) == "▁▅█"
    assert spark([0.0] * 500 + [9.0] + [0.0] * 499, 10) == "▁▁▁▁▁█▁▁▁▁"
