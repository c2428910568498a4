"""Short and hostile programs through a worker process: verdict, evidence and figures, as ``orchestrator show --json`` has them.

What they were is noted beside each result, so that the page about hosts can show it. The right values are the same on every
host that has groups of control for all tasks; elsewhere the figures that need one are told as missing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from attrs import frozen

from orchestrator.embedded import Embedded
from tests.support import pace
from tests.support.installation import Installation, one_worker

EXACT = ("cpu_time_s", "memory_peak_bytes", "pids_peak")
Shown = Mapping[str, Any]


@frozen
class Program:
    """A program by its name, what it asks for beside its command, its right verdict, and more that must be so."""

    name: str
    script: str
    verdict: tuple[str, str | None, int]
    check: Callable[[Shown], object] = bool
    more: Mapping[str, object] = {}


def _met_the_limit_of_processes(shown: Shown) -> bool:
    return bool(shown["evidence"]["pids_limit"]["limit"] == 32 and shown["metrics"]["pids_peak"] <= 32)


def _kills(shown: Shown, otherwise: int) -> int:
    """How many processes the kernel killed for memory; version 1 of the groups forgets that with the container."""
    counted = shown["evidence"]["counted"]
    on_v2 = "cgroup v2" in shown["metrics"]["source"].values()
    return int(counted["oom_kills"] if on_v2 else counted.get("oom_kills", otherwise))


def _killed_by_the_kernel(shown: Shown) -> bool:
    return shown["evidence"]["ended_by"] == "kernel" and _a_child_was_killed(shown)


def _a_child_was_killed(shown: Shown) -> bool:
    return bool(shown["evidence"]["oom_killed"]) and _kills(shown, otherwise=1) > 0


def _killed_by_nobody_we_know(shown: Shown) -> bool:
    evidence = shown["evidence"]
    return (evidence["oom_killed"], evidence["ended_by"]) == (False, "unknown") and _kills(shown, otherwise=0) == 0


def _had_no_room(shown: Shown) -> bool:
    return bool(shown["evidence"]["disk_full"] == ["/tmp"])  # noqa: S108 - a name in the container


def _has_its_file(shown: Shown) -> bool:
    return [each["path"] for each in shown["artifacts_stored"]] == ["a"]


def _was_held_up(shown: Shown) -> bool:
    return bool(shown["metrics"]["throttled_s"] > 0 and shown["metrics"]["cpu_time_s"] > 0)


EATS = "tail /dev/zero"
SMALL = {"limits": {"memory": "32m"}}
BUSY = "timeout {seconds:.0f} sh -c 'while :; do :; done'; true"
PROGRAMS = (
    Program("true", "true", ("succeeded", None, 0)),
    Program("exit 3", "exit 3", ("failed", "exit", 3)),
    Program("kill -9 $$", "kill -9 $$", ("failed", "signal", 137), _killed_by_nobody_we_know),
    Program("tail /dev/zero", f"exec {EATS}", ("failed", "oom", 137), _killed_by_the_kernel, SMALL),
    Program("its child is killed, exit 7", f"{EATS}; sleep 1; exit 7", ("failed", "oom", 7), _a_child_was_killed, SMALL),
    Program("its child is killed, exit 0", f"{EATS}; sleep 1; exit 0", ("succeeded", None, 0), _a_child_was_killed, SMALL),
    Program(
        "fork bomb",
        "f() { f | f & }; f; sleep 2; exit 2",
        ("failed", "exit", 2),
        _met_the_limit_of_processes,
        {"limits": {"pids": 32}},
    ),
    Program(
        "fills /tmp",
        "dd if=/dev/zero of=/tmp/x bs=64k; exit 5",
        ("failed", "exit", 5),
        _had_no_room,
        {"limits": {"tmp": "1m"}},
    ),
    Program("writes to /out", "echo one >/out/a", ("succeeded", None, 0), _has_its_file, {"artifacts": ["a"]}),
    Program("busy at half a CPU", BUSY, ("succeeded", None, 0), _was_held_up, {"limits": {"cpus": 0.5}}),
)


@pytest.fixture(scope="module")
def installation(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for all tests of this file."""
    with one_worker(servers, tmp_path_factory.mktemp("programs")) as installation:
        yield installation


def _shown(installation: Installation, task_id: str) -> Shown:
    argv = (sys.executable, "-m", "orchestrator", "show", "--json", task_id)
    done = subprocess.run(argv, env={**os.environ, **installation.environment}, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_what_is_told_of_a_program(
    installation: Installation, program: Program, record_property: Callable[[str, object], None]
) -> None:
    """The verdict is right, the evidence says why, and each figure that a kernel can have is there, however short the run."""
    script = program.script.format(seconds=pace.seconds(2)) if program.script is BUSY else program.script
    task_id = installation.submit(script, **program.more)
    installation.ended(task_id)
    shown = _shown(installation, task_id)
    record_property(f"program: {program.name}", _brief(shown))
    assert (shown["status"], shown["cause"], shown["exit_code"]) == program.verdict
    assert program.check(shown)
    assert {name: shown["metrics"][name] for name in EXACT if shown["metrics"][name] is None} == {}
    assert {each for each in shown["metrics"]["source"].values() if each.startswith("cgroup v")}


def _brief(shown: Shown) -> str:
    """Verdict, evidence and figures in a line."""
    evidence, metrics = shown["evidence"], shown["metrics"]
    told = partial(filter, lambda pair: pair[1] is not None)
    why = {key: evidence.get(key) for key in ("ended_by", "signal", "oom_killed", "pids_limit", "disk_full", "counted")}
    used = {key: metrics[key] for key in (*EXACT, "throttled_s", "samples", "source", "missing")}
    verdict = f"{shown['status']} {shown['cause'] or ''} {shown['exit_code']}"
    return f"{verdict}; evidence {json.dumps(dict(told(why.items())))}; metrics {json.dumps(dict(told(used.items())))}"
