"""The scripts that make a machine ready, against stand-ins for what a bare machine may have."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from attrs import evolve

from orchestrator.errors import ImageUnavailable, InfrastructureError
from scripts import image
from scripts.engine import Daemon, answers, ready, start
from scripts.packages import NotReady

STAND_IN = Path(__file__).parents[1] / "support" / "dockerd.py"
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # as it should be


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A stand-in for dockerd that writes its pid file as dockerd does; ended after the test."""
    program = tmp_path / "dockerd"
    program.write_text(f'#!/bin/sh\necho $$ >{tmp_path}/pid\nexec {sys.executable} {STAND_IN} {tmp_path}/socket "$@"\n')
    program.chmod(0o755)
    yield Daemon(f"unix://{tmp_path}/socket", (str(program),), run=tmp_path, log=tmp_path / "log", patience=20.0)
    if (tmp_path / "socket").exists():
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


def test_an_engine_is_started_without_what_the_machine_cannot_do(daemon: Daemon) -> None:
    """A daemon that fails for want of iptables is started again without them."""
    assert "--iptables=false" in start(daemon)
    assert answers(daemon.host) == "0.0-stand-in"


def test_an_engine_that_answers_is_left_as_it_is(daemon: Daemon) -> None:
    """The second run finds the engine of the first."""
    start(daemon)
    assert ready(daemon.host) == f"Docker 0.0-stand-in answers at {daemon.host}"


def test_a_pid_file_from_before_a_restart_does_not_keep_the_engine_from_starting(daemon: Daemon) -> None:
    """The number in it may belong to any other program by now."""
    stale = daemon.run / "docker.pid"
    stale.write_text(str(os.getpid()))
    start(daemon)
    assert not stale.exists()


def test_a_daemon_that_cannot_start_is_quoted(daemon: Daemon) -> None:
    """The message holds the daemon's own complaint and not its chatter."""
    broken = evolve(daemon, command=("sh", "-c", "echo level=info noise; echo failed to start daemon: no cgroups; exit 1"))
    with pytest.raises(NotReady, match=r"(?s)does not start.*: no cgroups") as refusal:
        start(broken)
    assert "noise" not in str(refusal.value)


def test_a_daemon_that_was_killed_while_it_removed_a_network_starts_with_a_new_list(daemon: Daemon, tmp_path: Path) -> None:
    """It would panic at every start; the torn list is kept, and said."""
    networks = tmp_path / "local-kv.db"
    networks.write_text("torn")
    panics = f'[ ! -e {networks} ] || {{ echo "panic: index out of range"; echo "libnetwork.reservePools(...)"; exit 2; }}'
    torn = evolve(daemon, command=("sh", "-c", f'{panics}; exec {daemon.command[0]} "$@"', "dockerd"), networks=networks)
    said = start(torn)
    (aside,) = tmp_path.glob("local-kv.db.torn-*")
    assert str(aside) in said
    assert aside.read_text() == "torn"


def test_a_daemon_that_panics_is_quoted_from_the_panic_on(daemon: Daemon) -> None:
    """Its last lines are the bottom of the stack, which is the same for every panic."""
    frames = "; ".join(f"echo frame {number}" for number in range(30))
    broken = evolve(daemon, command=("sh", "-c", f"echo level=warning noise; echo panic: why; {frames}; exit 2"))
    with pytest.raises(NotReady, match=r"(?s)does not start.*panic: why\nframe 0\n.*frame 8$"):
        start(broken)


def test_a_docker_host_that_is_not_ours_to_start_is_named(tmp_path: Path) -> None:
    """Nothing is installed or started in place of an engine that was chosen by DOCKER_HOST."""
    with pytest.raises(NotReady, match=r"nothing answers at DOCKER_HOST=unix://.*/none"):
        ready(f"unix://{tmp_path}/none")


class Images:
    """A client whose engine has no image of ours, but may have one to tag; it notes the tags."""

    def __init__(self) -> None:
        self.images = SimpleNamespace(list=lambda name: [], get=lambda name: self)  # noqa: ARG005
        self.tags: list[tuple[str, ...]] = []
        self.made: list[str] = []

    def tag(self, *name: str) -> None:
        """Note the tag."""
        self.tags.append(name)

    def ready(self, pull: Callable[[str], None]) -> str:
        """What the script says when the image is to be had."""
        wanted = image.Image("ours:1", "theirs:2", lambda _, name: self.made.append(name))
        return image.ready(cast(docker.DockerClient, self), pull, wanted)


def test_an_image_that_a_registry_has_is_pulled_and_tagged() -> None:
    """A registry that answers is preferred to making the image."""
    images, pulled = Images(), list[str]()
    assert images.ready(pulled.append) == "ours:1 is theirs:2"
    assert (pulled, images.tags, images.made) == (["theirs:2"], [("ours", "1")], [])


@pytest.mark.parametrize(
    "reason", [ImageUnavailable("denied"), InfrastructureError("docker", "no such host")], ids=["no", "away"]
)
def test_an_image_is_made_where_no_registry_gives_it(reason: Exception) -> None:
    """A registry that refuses and one that is away both end in an image of our own."""

    def pull(_: str) -> None:
        raise reason

    images = Images()
    assert images.ready(pull) == "ours:1 is made"
    assert (images.tags, images.made) == ([], ["ours:1"])
