"""Tests of a host with systemd, which they change: they restart the engine, and reload and stop units.

They are collected only on a machine that is made for tests, which says so in its environment.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from tests.support import pace
from tests.support.containers import WHERE, Bench
from tests.support.worker_process import until

MACHINE = "ORCHESTRATOR_TEST_MACHINE"
"""Set where the tests may do what they like with the machine."""
collect_ignore_glob = [] if os.environ.get(MACHINE) else ["test_*.py"]
TOP = Path("/sys/fs/cgroup/orchestrator.slice")


@pytest.fixture
def docker() -> Iterator[Bench]:
    """A bench on the machine's engine."""
    with closing(DockerEngine(WHERE)) as engine:
        bench = Bench(engine)
        yield bench
        bench.clear()


@pytest.fixture
def systemctl() -> Callable[..., str]:
    """The service manager's command; what it prints."""

    def call(*words: str) -> str:
        return subprocess.run(
            ["systemctl", *words], check=True, capture_output=True, text=True, timeout=pace.seconds(60)
        ).stdout

    return call


@pytest.fixture
def configured(systemctl: Callable[..., str]) -> Iterator[Callable[[str], None]]:
    """Gives the engine other settings and restarts it; afterwards it has its own again."""
    settings = Path("/etc/docker/daemon.json")
    before = settings.read_text() if settings.exists() else None

    def restart(text: str | None) -> None:
        settings.parent.mkdir(exist_ok=True)
        if text is None:
            settings.unlink(missing_ok=True)
        else:
            settings.write_text(text)
        systemctl("reset-failed", "docker.service")
        systemctl("restart", "docker.service")
        until(_answers)

    yield restart
    restart(before)


def _answers() -> bool:
    with closing(DockerEngine(WHERE)) as engine:
        return bool(engine.identity())


def in_container(program: str, arguments: Sequence[str]) -> str:
    """What a Python program prints in a container that sees the machine's own Python and this checkout, and nothing else."""
    checkout = Path(__file__).parents[2]
    binds = ["/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro", f"{checkout}:{checkout}:ro"]
    python = [sys.executable, "-c", program]
    command = ["docker", "run", "--rm", *[word for bind in binds for word in ("-v", bind)], *arguments, "-w", str(checkout)]
    done = subprocess.run(
        [*command, "-e", f"PYTHONPATH={checkout}", "orchestrator-busybox:1", *python],
        check=False,
        capture_output=True,
        text=True,
        timeout=pace.seconds(120),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
