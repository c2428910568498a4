"""The scripts that make a machine ready, against stand-ins for what a bare machine may have."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from attrs import evolve

from orchestrator.errors import ImageUnavailable, InfrastructureError
from scripts import database, engine, image, packages
from scripts.engine import Daemon, answers, ready, start
from scripts.packages import NotReady, read, releases, told
from tests.support.tars import entry, packed

STAND_IN = Path(__file__).parents[2] / "support" / "stand_in_dockerd.py"
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
    """A client whose engine has none of the project's images, but may have one to tag; it notes the tags."""

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
    """If a registry refuses or is away, the script makes the image itself."""

    def pull(_: str) -> None:
        raise reason

    images = Images()
    assert images.ready(pull) == "ours:1 is made"
    assert (images.tags, images.made) == ([], ["ours:1"])


def test_an_image_that_can_neither_be_pulled_nor_made_is_named() -> None:
    """With what to do by hand, and what keeps it from being made."""

    def pull(_: str) -> None:
        raise ImageUnavailable("denied")

    def make(*_: object) -> None:
        raise NotReady("no apt-get")

    by_hand = r"load it by hand \(docker pull theirs:2, docker tag theirs:2 ours:1\)"
    with pytest.raises(NotReady, match=f"^ours:1 can neither be pulled nor made; {by_hand}, or see to this: no apt-get$"):
        image.ready(cast(docker.DockerClient, Images()), pull, image.Image("ours:1", "theirs:2", make))


Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Puts shell scripts in front of the path, in place of a machine's own programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    packages._update.cache_clear()

    def put(name: str, script: str) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    yield put
    packages._update.cache_clear()


def package(program: Program, folder: Path, *names: str) -> None:
    """Have apt and dpkg give a package with these files, each with its own name as its content."""
    (folder / "files.tar").write_bytes(packed([entry(name, name.encode()) for name in names]))
    program("apt-get", "echo >busybox-static.deb")
    program("dpkg-deb", f"cat {folder}/files.tar")


@pytest.mark.parametrize("path", ["./bin/busybox", "./usr/bin/busybox"])
def test_a_file_of_a_package_is_found_with_and_without_usr(program: Program, tmp_path: Path, path: str) -> None:
    """Debian has moved all of /bin there since release 13."""
    package(program, tmp_path, "./usr/share/doc/busybox", path, "./etc/nobusybox")
    assert read("busybox-static", "bin/busybox") == path.encode()


def test_a_package_without_the_file_is_named(program: Program, tmp_path: Path) -> None:
    """With what was looked for."""
    package(program, tmp_path, "./usr/share/doc/busybox")
    with pytest.raises(NotReady, match="the package busybox-static has no file that ends with /bin/busybox"):
        read("busybox-static", "bin/busybox")


def test_only_packages_that_the_release_has_are_installed(program: Program, tmp_path: Path) -> None:
    """Docker's command line is a package of its own since Debian 13."""
    program("apt-get", f'echo "$@" >>{tmp_path}/asked')
    program("apt-cache", 'case "$*" in *docker-cli) echo Package: docker-cli ;; *) exit 100 ;; esac')
    packages.install("docker.io", if_known=["docker-cli", "docker-gone"])
    assert (tmp_path / "asked").read_text().splitlines()[-1].endswith("install --no-install-recommends docker.io docker-cli")


def test_it_is_said_before_a_package_is_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And how to undo it."""
    said: list[str] = []
    monkeypatch.setattr(packages, "_update", lambda: None)
    monkeypatch.setattr(packages, "_run", lambda *_: said.append(capsys.readouterr().out))
    packages.install("docker.io", "iptables")
    assert said == ["packages: installing docker.io iptables; `apt-get purge docker.io iptables` undoes it\n"]


@pytest.mark.parametrize(
    ("systemd", "undo"), [(True, "systemctl stop docker.socket docker"), (False, "kill $(cat /var/run/docker.pid)")]
)
def test_it_is_said_before_an_engine_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, *, systemd: bool, undo: str
) -> None:
    """And how to stop it."""
    said: list[str] = []

    def begin(_: object) -> str:
        said.append(capsys.readouterr().out)
        return "somehow"

    for name, stand_in in {
        "answers": lambda _: None,
        "can_install": lambda: False,
        "start": begin,
        "_start_with_systemd": begin,
        "_SYSTEMD": tmp_path if systemd else tmp_path / "none",
    }.items():
        monkeypatch.setattr(engine, name, stand_in)
    monkeypatch.setattr(engine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine.shutil, "which", lambda *_, **__: "/usr/sbin/dockerd")
    ready(Daemon().host)
    assert said == [f"engine: starting Docker, which stays up; `{undo}` stops it\n"]


def test_what_apt_complains_of_is_quoted(program: Program) -> None:
    """Below the command that failed."""
    program("apt-get", "echo E: Unable to locate package >&2; exit 100")
    with pytest.raises(NotReady, match=r"(?s)^`apt-get .* install .*nonsense` failed; .*\nE: Unable to locate package$"):
        packages.install("nonsense")


APT = """
echo microsoft bookworm https://elsewhere/
echo Debian bookworm http://first/
echo Debian bookworm http://second/
echo Debian bookworm-updates http://first/
"""


@pytest.mark.parametrize(
    ("system", "apt", "expected"),
    [
        ({"VERSION_CODENAME": "bookworm"}, APT, ["bookworm", "root", "http://first/"]),
        ({"VERSION_CODENAME": "forky"}, "echo Debian sid http://a/", ["sid", "root", "http://a/", "sid"]),
        ({"ID": "ubuntu"}, "echo Ubuntu zany http://a/", ["zany", "root", "http://a/", "gutsy"]),
        ({"VERSION_CODENAME": "bookworm"}, "true", ["bookworm", "root"]),
    ],
    ids=["named", "unstable", "unnamed", "no lists"],
)
def test_debootstrap_is_told_what_apt_knows(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: dict[str, str], apt: str, expected: list[str]
) -> None:
    """The machine's own release from apt's own mirror, by a general script where it has none for the newest release."""
    program("apt-get", apt)
    monkeypatch.setattr(image.platform, "freedesktop_os_release", lambda: system)
    (tmp_path / "bookworm").touch()
    assert image._release(Path("root"), tmp_path) == expected


def test_a_release_that_nothing_tells_is_said(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a guess."""
    program("apt-get", "true")
    monkeypatch.setattr(image.platform, "freedesktop_os_release", dict)
    with pytest.raises(NotReady, match="which release of Debian this is"):
        image._release(Path("root"))
    assert releases() == {}


@pytest.mark.parametrize(
    ("kernel", "parser", "missing"), [("Y\n", "", ["apparmor"]), ("Y\n", "apparmor_parser", []), ("N\n", "", [])]
)
def test_apparmor_is_installed_where_the_kernel_has_it(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, parser: str, missing: list[str]
) -> None:
    """Without its parser Docker starts no container there."""
    program(parser or "another", "true")
    monkeypatch.setattr(engine, "_path", lambda: str(tmp_path / "bin"))
    (tmp_path / "enabled").write_text(kernel)
    assert engine._confinement(tmp_path / "enabled") == missing
    assert engine._confinement(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotReady("no apt; install it"), "step: no apt; install it"),
        (
            OSError(28, "No space left on device"),
            "step: OSError, [Errno 28] No space left on device; see to that, then repeat this",
        ),
        (docker.errors.APIError("boom"), "step: APIError, boom; see to that, then repeat this"),
    ],
)
def test_a_step_ends_in_a_sentence(error: Exception, said: str) -> None:
    """Never in a traceback."""
    with pytest.raises(SystemExit) as ended, told("step"):
        raise error
    assert ended.value.code == said


@pytest.mark.parametrize("step", [["engine"], ["image", "busybox"]], ids=["engine", "image"])
def test_a_setting_that_cannot_be_read_ends_a_step_in_a_sentence(step: list[str]) -> None:
    """As each step is called by make."""
    argv = [sys.executable, "-m", f"scripts.{step[0]}", *step[1:]]
    done = subprocess.run(argv, env={**os.environ, "DOCKER_HOST": "nonsense"}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{step[0]}: ")
    assert "DOCKER_HOST" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def too_new(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine of root's whose Python is too new for SecantusDB; apt there has Python 3.12 alone. What it was asked for."""
    asked: list[str] = []

    def install(name: str) -> None:
        asked.append(name)
        if name != "python3.12-venv":
            raise NotReady("no such package")

    found = {"is_here": False, "can_install": True, "older": None, "interpreter": "/venv/secantusdb/bin/python"}
    for name, answer in found.items():
        monkeypatch.setattr(database, name, partial(lambda given: given, answer))
    monkeypatch.setattr(database, "install", install)
    monkeypatch.delenv("MONGO_URI", raising=False)
    return asked


def test_root_on_debian_gets_the_newest_older_python_for_the_database(
    too_new: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No older one than needed."""
    database.main()
    assert too_new == ["python3.13-venv", "python3.12-venv"]
    assert capsys.readouterr().out.splitlines()[-1] == "database: secantusdb runs under /venv/secantusdb/bin/python"


def test_nothing_is_done_for_a_database_that_is_not_run(
    too_new: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo uses the MongoDB that is set."""
    monkeypatch.setenv("MONGO_URI", "mongodb://db")
    database.main()
    assert (too_new, capsys.readouterr().out) == ([], "")


def test_where_no_older_python_is_to_be_had_the_step_ends_in_a_sentence(
    too_new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the embedded servers themselves."""

    def interpreter() -> str:
        raise InfrastructureError("secantusdb", "install Python 3.13")

    monkeypatch.setattr(database, "interpreter", interpreter)
    monkeypatch.setattr(database, "can_install", lambda: False)
    with pytest.raises(SystemExit, match=r"^database: secantusdb: install Python 3\.13$"):
        database.main()
    assert too_new == []
