"""Figures about many tasks on the command line."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cli.ending import MISUSED
from orchestrator.cli.spark import spark
from orchestrator.client import Client
from orchestrator.ports import Point, WorkerRecord
from orchestrator.testing.live_output import MemoryLiveOutput
from orchestrator.testing.queue import MemoryQueue
from tests.support.stored import NOON, queued
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


def running(folder: Path) -> CommandLine:
    """Where two programs run, one of which has been seen."""
    call = CommandLine(folder, worker=False)
    for number, name in enumerate(["seen", "new"]):
        call.world.services.store.insert(
            queued(
                name,
                status="running",
                seq=1,
                attempt=1,
                started_at=NOON + timedelta(seconds=number),
                command=["sh", "-c", "\x1b[31m"],
                history=[{"seq": 1, "trigger": "start", "source": "queued", "status": "running", "at": NOON, "attempt": 1}],
            )
        )
    live = MemoryLiveOutput()
    call.client = Client(evolve(call.world.services, live=live))
    point = Point(1, 5.0, 150.0, 3 << 20, 4, received_bytes=1 << 20, sent_bytes=0)
    live.append(call.world.services.deployment, {"seen": [point]}, 1)
    return call


def test_running_programs_are_told_of_with_what_they_use(tmp_path: Path) -> None:
    """Once where nobody looks at a terminal; of one that has just begun nothing is known yet."""
    lines = running(tmp_path)("top").stdout.splitlines()
    assert lines[0].split()[:4] == ["ID", "CPU", "MEMORY", "PIDS"]
    assert lines[1].split()[:14] == ["seen", "150.0", "%", "3", "MiB", "4", "1", "MiB", "/", "0", "B", "-", "/", "-"]
    assert lines[2].split()[:6] == ["new", "-", "-", "-", "-", "-"]
    assert "\x1b" not in "".join(lines)


def test_running_programs_are_told_of_as_json(tmp_path: Path) -> None:
    """For scripts."""
    seen, new = json.loads(running(tmp_path)("top", "--json").stdout)
    assert (seen["_id"], seen["sample"]["cpu_percent"], seen["sample"]["read_bytes"]) == ("seen", 150.0, None)
    assert (new["_id"], new["sample"], new["started_at"]) == ("new", None, "2030-05-17T12:00:01.123+00:00")


def test_without_running_programs_top_says_so(tmp_path: Path) -> None:
    """A line, and an empty list."""
    call = CommandLine(tmp_path, worker=False)
    assert "no program runs" in call("top", "--once").stdout
    assert json.loads(call("top", "--json").stdout) == []
