"""Make sure that a Docker engine answers at DOCKER_HOST: use it, start it, or install and start it, and say which in a line.

An engine that this did not start is never stopped, and one that it did start is left running.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker
import requests
from attrs import frozen

from orchestrator.settings.settings import Settings
from scripts.packages import NotReady, can_install, install, told

_ANY_VERSION = "1.41"  # named so that docker-py asks for none; what is called here is the same in all
_SYSTEMD = Path("/run/systemd/system")
SOCKET = Path("/var/run/docker.sock")
_REMEDIES = {"iptables": "--iptables=false", "bridge": "--bridge=none"}
"""What dockerd may be unable to do on a bare machine → the flag that goes on without it (and without a network for tasks)."""
_TORN = "reservePools"
"""Where dockerd panics at every start once it was killed while it removed a network, which it then lists without addresses."""


@frozen
class Daemon:
    """How dockerd is started by hand, where there is no systemd."""

    host: str = f"unix://{SOCKET}"
    command: tuple[str, ...] = ("dockerd",)
    run: Path = Path("/var/run")
    networks: Path = Path("/var/lib/docker/network/files/local-kv.db")
    log: Path = Path(__file__).resolve().parent.parent / ".orchestrator" / "dockerd.log"
    patience: float = 600.0


def main() -> None:
    """Print one line, or end with what to do."""
    with told("engine"):
        print(f"engine: {ready(address())}")


def address() -> str:
    """DOCKER_HOST as docker-py wants it."""
    return Settings.load({"DOCKER_HOST": os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"}).docker_host


def ready(host: str) -> str:
    """What was done to have an engine at ``host``. Raises NotReady."""
    if version := answers(host):
        return f"Docker {version} answers at {host}"
    if host != Daemon().host:
        raise NotReady(f"nothing answers at DOCKER_HOST={host}; start that engine, or unset DOCKER_HOST")
    if os.geteuid() != 0:
        raise NotReady(_advice())
    done = "started"
    if not shutil.which("dockerd", path=_path()):
        if not can_install():
            raise NotReady("no Docker engine is installed and this machine has no apt-get; install Docker, then repeat this")
        print("engine: installing Debian's docker.io, about a minute", flush=True)
        install("docker.io", "iptables", "ca-certificates", *_confinement(), if_known=["docker-cli"])
        done = "installed and started"
    if can_install() and (missing := _confinement()):
        install(*missing)
    print(f"engine: starting Docker, which stays up; `{_undo()}` stops it", flush=True)
    how = _start_with_systemd(host) if _SYSTEMD.is_dir() else start(Daemon())
    return f"{done} Docker {answers(host)} {how}"


def _undo() -> str:
    """What stops an engine that was started here."""
    return "systemctl stop docker.socket docker" if _SYSTEMD.is_dir() else f"kill $(cat {Daemon().run / 'docker.pid'})"


def _confinement(kernel: Path = Path("/sys/module/apparmor/parameters/enabled")) -> list[str]:
    """The package without which Docker starts no container where the kernel has AppArmor; nothing when it is not needed."""
    enabled = kernel.exists() and kernel.read_text().strip() == "Y"
    return ["apparmor"] if enabled and not shutil.which("apparmor_parser", path=_path()) else []


def answers(host: str) -> str | None:
    """The version of the engine at ``host``, or None when none answers."""
    if host.startswith("unix://") and not _listens(Path(host.removeprefix("unix://"))):
        return None
    try:
        with closing(docker.APIClient(base_url=host, version=_ANY_VERSION, timeout=30)) as client:
            return str(client.version(api_version=False)["Version"])
    except (docker.errors.DockerException, requests.RequestException):
        return None


def start(daemon: Daemon) -> str:
    """Start dockerd detached and wait until it answers; says how. Raises NotReady with the end of its log."""
    if pid := _running(daemon.run / "docker.pid", "dockerd"):
        if _wait(daemon, lambda: Path(f"/proc/{pid}").exists()):
            return f"that was on its way up as process {pid}"
        raise NotReady(f"dockerd runs as process {pid}, but does not answer at {daemon.host}; look at its log, or end it")
    _running(daemon.run / "docker/containerd/containerd.pid", "containerd")
    containerd = daemon.run / "containerd/containerd.sock"
    if not _listens(containerd):  # dockerd would wait for the containerd of before a restart
        containerd.unlink(missing_ok=True)
    _mount_cgroups()
    flags: list[str] = []
    aside = ""
    while not _launch(daemon, flags):
        complaints = _complaints(daemon.log)
        fatal = complaints.rpartition("failed to start daemon")[2]
        remedy = next((flag for word, flag in _REMEDIES.items() if word in fatal and flag not in flags), None)
        if remedy:
            flags.append(remedy)
        elif _TORN in complaints and not aside:
            aside = f" with a new list of networks, the torn one is {_put_aside(daemon.networks)}"
        else:
            raise NotReady(
                f"dockerd does not start; see to what it says, then repeat this; the end of {daemon.log}:\n{complaints}"
            )
    return f"by hand ({' '.join([*daemon.command, *flags])}){aside}; its log is {daemon.log}"


def _put_aside(networks: Path) -> Path:
    """Where the list is kept. What is lost with it are networks that somebody made; containers and images are not in it."""
    return networks.rename(networks.with_name(f"{networks.name}.torn-{time.time_ns()}"))


def _launch(daemon: Daemon, flags: list[str]) -> bool:
    daemon.log.parent.mkdir(parents=True, exist_ok=True)
    with daemon.log.open("wb") as log:
        process = subprocess.Popen(
            [*daemon.command, *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=os.environ | {"PATH": _path()},
            start_new_session=True,
        )
    if _wait(daemon, lambda: process.poll() is None):
        return True
    process.terminate()
    process.wait()
    return False


def _wait(daemon: Daemon, lives: Callable[[], bool]) -> bool:
    """Whether the engine answers before its process ends or patience does."""
    deadline = time.monotonic() + daemon.patience
    while time.monotonic() < deadline:
        if answers(daemon.host):
            return True
        if not lives():
            return False
        time.sleep(0.2)
    return False


def _running(pid_file: Path, name: str) -> int | None:
    """The process in a pid file; the file is removed when that process is gone or is another program since a restart."""
    try:
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return pid
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass
    pid_file.unlink(missing_ok=True)
    return None


def _listens(path: Path) -> bool:
    """Whether a program accepts connections at a socket; docker-py leaks a file descriptor for each that is refused."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _mount_cgroups() -> None:
    """A machine without systemd may have no cgroups mounted; dockerd says so when this does not help."""
    root = Path("/sys/fs/cgroup")
    if not (root / "cgroup.controllers").exists() and not (root / "memory").exists():
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", root], check=False, capture_output=True)


def _start_with_systemd(host: str) -> str:
    unit = subprocess.run(
        ["systemctl", "start", "docker"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if unit.returncode == 0 and _wait(Daemon(host=host), _is_active):
        return "with systemd"
    journal = subprocess.run(
        ["journalctl", "-u", "docker", "-n", "10", "--no-pager"], check=False, capture_output=True, text=True
    )
    said = f"{unit.stderr}{journal.stdout}"
    raise NotReady(f"`systemctl start docker` brought up no engine; see to what it says, then repeat this:\n{said}")


def _is_active() -> bool:
    """Whether systemd has not given Docker up."""
    return subprocess.run(["systemctl", "is-active", "--quiet", "docker"], check=False).returncode == 0


def _advice() -> str:
    if SOCKET.exists() and not os.access(SOCKET, os.W_OK):
        return f"you may not use {SOCKET}; run `sudo usermod -aG docker $USER` and log in again, or set DOCKER_HOST"
    if shutil.which("dockerd", path=_path()):
        return "Docker is installed but does not answer; run `sudo systemctl start docker`, or set DOCKER_HOST"
    return "no Docker engine answers and only root can install one; run `sudo apt-get install docker.io`, or set DOCKER_HOST"


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _complaints(log: Path) -> str:
    """The last lines that are no chatter; of a panic its first lines, which say where it was."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "level=info" not in line]
    panic = next((number for number, line in enumerate(lines) if line.startswith("panic:")), None)
    return "\n".join(lines[-10:] if panic is None else lines[panic:][:10]) or "(nothing)"


if __name__ == "__main__":
    main()
