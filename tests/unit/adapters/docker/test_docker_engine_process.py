"""When an engine was started, by its process."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.engine_process import engine_started, machine_started
from tests.unit.adapters.docker.engine_stub import Stage, says

ENGINE, OTHER, SYSTEMD = 40, 41, 1


def _process(proc: Path, pid: int, name: str, ticks: int) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "comm").write_text(f"{name}\n")
    (folder / "stat").write_text(f"{pid} ({name}) S " + " ".join(["0"] * 18 + [str(ticks), "0"]))


def _seconds_after_boot(at: datetime | None) -> float:
    assert at
    return (at - machine_started()).total_seconds()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with an engine that was started 7 s after it."""
    _process(tmp_path, SYSTEMD, "systemd", 1)
    _process(tmp_path, ENGINE, "dockerd", 7 * os.sysconf("SC_CLK_TCK"))
    (tmp_path / "version").write_text("")
    return tmp_path


@pytest.mark.parametrize("peer", [ENGINE, SYSTEMD], ids=["it listens itself", "systemd listened for it"])
def test_an_engine_was_started_when_its_process_was(proc: Path, peer: int) -> None:
    """To a tick, whatever the clock said then."""
    assert _seconds_after_boot(engine_started(peer, proc)) == pytest.approx(7, abs=0.05)


def test_of_two_engines_the_one_that_listens_is_meant(proc: Path) -> None:
    """And where systemd listens, nobody can tell which."""
    _process(proc, OTHER, "dockerd", 9 * os.sysconf("SC_CLK_TCK"))
    assert _seconds_after_boot(engine_started(OTHER, proc)) == pytest.approx(9, abs=0.05)
    assert engine_started(SYSTEMD, proc) is None


def test_what_is_no_engine_tells_nothing(proc: Path) -> None:
    """As a proxy before it; nor does a process that has just ended, or whose description cannot be read."""
    _process(proc, OTHER, "python3", 9)
    (proc / "42").mkdir()
    assert engine_started(OTHER, proc) is None
    (proc / str(ENGINE) / "stat").write_text("nonsense")
    assert engine_started(ENGINE, proc) is None


def test_the_start_of_a_real_process_is_right() -> None:
    """By the kernel's own files; it stands for an engine by its name alone."""
    before = datetime.now(UTC)
    name = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'dockerd'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        started = engine_started(process.pid)
        process.communicate()
    assert started
    assert abs((started - before).total_seconds()) < 1


def test_the_peer_is_who_listens(stage: Stage) -> None:
    """The stub listens in this process."""
    stub, _ = stage({"GET /info": says(200, {})})
    assert DockerClient(stub.url, 5).peer() == os.getpid()
