"""The disks that machines boot from: a Debian of one suite, made with debootstrap and kept between runs.

A disk holds the packages and, but for a bare one, this checkout's ``.venv`` and what ``scripts/machine_load.py`` takes along.
Its folder and its name have the hashes of all that it was made from, so that a change makes another one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.packages import NotReady, can_install, install

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestrator-machines"
CHECKOUT = Path(__file__).resolve().parent.parent
INSIDE = Path("/root/orchestrator")
"""Where the checkout is in a machine."""
LOAD = Path("/root/load")
"""Where a machine has the images that its engine loads at the first boot, and the packages that tests ask for."""
SUITES = ("bookworm", "trixie", "forky")
"""Debian 12, Debian 13 and testing."""
KEPT = 3
"""So many disks of one recipe and recipes of one suite are kept, the newest ones."""
SETTINGS = {"HOME": "/root", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(LOAD / "wheels"), "PIP_CONFIG_FILE": os.devnull}
"""The environment of what runs in a machine without a network."""

_SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "debootstrap": "debootstrap",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_FIRST = ("systemd-sysv", "initramfs-tools")
"""What the other packages' scripts ask for while they are installed."""
_BARE = (
    "ca-certificates",
    "dbus",
    "git",
    "iproute2",
    "kmod",
    "linux-image-cloud-amd64",
    "make",
    "openssh-server",
    "python3",
    "udev",
)
_WHOLE = ("apparmor", "busybox-static", "crun", "docker-cli", "docker.io", "iptables", "procps", "python3-venv", "tini")
_LACKS = {("bookworm", "docker-cli")}
"""Packages that a suite does not have, since another one holds their files."""
_OLDER = {"forky": ("trixie", "python3.13-venv")}
"""Where the suite's own Python is too new for the embedded database: another suite's, beside it."""
_LOCKS = ("requirements/*.txt", "orchestrator/embedded/*.txt", "scripts/setup")
"""What ``.venv`` is made from."""
_CERTIFICATES = "usr/local/share/ca-certificates"
_NETWORK = """[Unit]
DefaultDependencies=no
After=systemd-udevd.service
Before=network.target ssh.service docker.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until test -e /sys/class/net/eth0; do sleep 0.1; done'
ExecStart=ip link set eth0 up
ExecStart=ip addr add 10.0.2.15/24 dev eth0
[Install]
WantedBy=multi-user.target
"""
ENGINE = {"log-level": "fatal"}
"""Settings of the engine. When it is slow it closes a log before it has read all of it, and then logs an error for each line
that is left, up to a million: a machine under emulation does nothing else for 20 minutes."""


@dataclass(frozen=True)
class Disk:
    """A disk and what boots it; the files stand beside each other."""

    path: Path

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.path.with_suffix(".vmlinuz")

    @property
    def initrd(self) -> Path:
        """What the kernel starts with."""
        return self.path.with_suffix(".initrd")

    @property
    def booted(self) -> Path:
        """A layer over the disk that holds a machine just booted."""
        return self.path.with_suffix(".booted")

    @property
    def key(self) -> Path:
        """The ssh key that opens the machine."""
        return self.path.parent / "key"


@contextmanager
def locked(suite: str) -> Iterator[None]:
    """Nobody else makes disks of the suite meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def disk(suite: str, *, bare: bool) -> Disk:
    """The disk that this checkout needs, there or not yet."""
    locks = [] if bare else [path.read_text() for path in _locks()]
    return Disk(CACHE / f"{suite}-{_hash(_recipe(suite, bare=bare))}" / f"{_hash(*locks)}.ext4")


def make(suite: str, *, bare: bool) -> Disk:
    """Make the disk unless it is there. Raises NotReady."""
    made = disk(suite, bare=bare)
    need()
    if made.path.exists():
        os.utime(made.path)
        return made
    if os.geteuid() != 0:
        raise NotReady(f"only root can make a disk with Debian {suite}")
    root = _root(suite, made.path.parent, bare=bare)
    if not bare:
        _set_up(root)
        _load(root)
    part = made.path.with_suffix(".part")
    part.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(part), "16G")
    for kind, path in (("vmlinuz", made.kernel), ("initrd.img", made.initrd)):
        shutil.copy(max(root.glob(f"boot/{kind}-*")), path)
    part.rename(made.path)
    _prune(suite, made)
    return made


def need() -> None:
    """Have the programs that make and boot disks. Raises NotReady."""
    missing = sorted({package for program, package in _NEEDS.items() if not shutil.which(program, path=_SEARCHED)})
    if missing and not can_install():
        raise NotReady(f"machines need the packages {', '.join(missing)}; on Debian or Ubuntu root can install them")
    if missing:
        print(f"machines: installing {', '.join(missing)}", flush=True)
        install(*missing)


def run(*command: str, log: Path | None = None, more: Mapping[str, str] | None = None) -> None:
    """Run a command to its end. Raises NotReady with the end of what it printed."""
    done = subprocess.run(
        command,
        check=False,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PATH": _SEARCHED} | dict(more or {}),
    )
    if log:
        with log.open("a") as file:
            file.write(done.stdout)
    if done.returncode:
        raise NotReady(f"`{' '.join(command)[:200]}` failed:\n{done.stdout[-2000:].strip()}")


def checkout_files() -> list[str]:
    """The checkout's files by name: what git tracks or would, as it is in the folder."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\0")
    return sorted({name for name in listed if name and os.path.lexists(CHECKOUT / name)})


def _root(suite: str, folder: Path, *, bare: bool) -> Path:
    """A folder with the suite's files, made in about a minute."""
    root = folder / "root"
    if (folder / "whole").exists():
        return root
    print(f"machines: making a {'bare ' if bare else ''}Debian {suite}, about two minutes", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    script = Path("/usr/share/debootstrap/scripts") / suite
    like = [] if script.exists() else [str(script.with_name("sid"))]
    mirror = _mirror()
    run("debootstrap", "--variant=minbase", suite, str(root), mirror, *like, log=folder / "log")
    _apt_as_here(root)
    with _no_services(root):
        _install(folder, *_FIRST)
        _install(folder, *_packages(suite, bare=bare))
        if suite in _OLDER and not bare:
            _install_from(folder, mirror, *_OLDER[suite])
    _inside(root, "apt-get", "clean")
    for authority in (Path("/") / _CERTIFICATES).glob("*.crt"):
        shutil.copy(authority, root / _CERTIFICATES)
    _inside(root, "update-ca-certificates")
    _let_in(root, folder)
    if not bare:
        (root / "etc/docker").mkdir(exist_ok=True)
        (root / "etc/docker/daemon.json").write_text(json.dumps(ENGINE))
    (folder / "whole").touch()
    return root


def _mirror() -> str:
    """Where this host has Debian from. Raises NotReady."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    sources = subprocess.run(asked, check=False, stdout=subprocess.PIPE, text=True).stdout.split()
    found = next((source for source in sources if source.rstrip("/").endswith("/debian")), None)
    if found is None:
        raise NotReady("apt knows no mirror of Debian on this host; add one to its sources")
    return found


def _apt_as_here(root: Path) -> None:
    """Apt in the machine takes a mirror that is a copy of some day, where apt on this host does."""
    asked = ["apt-config", "dump", "Acquire::Check-Valid-Until", "Acquire::Check-Date"]
    dates = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
    (root / "etc/apt/apt.conf.d/99-dates").write_text(dates)


@contextmanager
def _no_services(root: Path) -> Iterator[None]:
    """No service of a package starts, as the machine is not this one."""
    deny = root / "usr/sbin/policy-rc.d"
    deny.write_text("#!/bin/sh\nexit 101\n")
    deny.chmod(0o755)
    yield
    deny.unlink()


def _install(folder: Path, *packages: str) -> None:
    command = ["chroot", str(folder / "root"), "apt-get", "install", "-qy", "--no-install-recommends", *packages]
    run(*command, log=folder / "log", more={"DEBIAN_FRONTEND": "noninteractive"})


def _install_from(folder: Path, mirror: str, suite: str, package: str) -> None:
    """Install a package that only another suite has."""
    root = folder / "root"
    source = root / "etc/apt/sources.list.d/older.list"
    source.write_text(f"deb {mirror} {suite} main\n")
    _inside(root, "apt-get", "update")
    _install(folder, package)
    source.unlink()
    _inside(root, "apt-get", "update")


def _inside(root: Path, *command: str, more: Mapping[str, str] | None = None) -> None:
    run("chroot", str(root), *command, more=more)


def _let_in(root: Path, folder: Path) -> None:
    """Let root in with a key of the disk's own, at an address that qemu knows, and name no server of the host's network."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "orchestrator-machine", "-f", str(folder / "key"))
    (root / "root/.ssh").mkdir(mode=0o700)
    shutil.copy(folder / "key.pub", root / "root/.ssh/authorized_keys")
    (root / "etc/systemd/system/machine-network.service").write_text(_NETWORK)
    _inside(root, "systemctl", "enable", "machine-network.service", "ssh.service")
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _set_up(root: Path) -> None:
    """Make the checkout's .venv with the suite's own Python, at this host's speed and with its network."""
    inside = root / INSIDE.relative_to("/")
    shutil.rmtree(inside, ignore_errors=True)
    for name in checkout_files():
        target = inside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
    python = f"{INSIDE}/.venv/bin/python"
    database = f"test ! -e {INSIDE}/scripts/database.py || {python} -m scripts.database"
    compiled = f"{python} -m compileall -q {INSIDE}/.venv >/dev/null || true"
    pip = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "PIP_CONFIG_FILE": os.devnull, "HOME": "/root"}
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    try:
        _inside(root, "sh", "-ec", f"cd {INSIDE}; scripts/setup; {database}; {compiled}", more=pip)
    finally:
        (root / "etc/resolv.conf").unlink()


def _load(root: Path) -> None:
    """What the machine gets of this host's engine, and the packages for the worker's image."""
    folder = root / LOAD.relative_to("/")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(str(CHECKOUT / ".venv/bin/python"), "-m", "scripts.machine_load", str(folder))


def _prune(suite: str, newest: Disk) -> None:
    disks = sorted(newest.path.parent.glob("*.ext4"), key=_age, reverse=True)
    for old in disks[KEPT:]:
        for path in old.parent.glob(f"{old.stem}.*"):
            path.unlink()
    recipes = sorted(CACHE.glob(f"{suite}-*"), key=_age, reverse=True)
    for folder in recipes[KEPT:]:
        shutil.rmtree(folder)


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _locks() -> list[Path]:
    return [path for pattern in _LOCKS for path in sorted(CHECKOUT.glob(pattern))]


def _packages(suite: str, *, bare: bool) -> list[str]:
    return [name for name in (*_BARE, *(() if bare else _WHOLE)) if (suite, name) not in _LACKS]


def _recipe(suite: str, *, bare: bool) -> str:
    more = () if bare else (*_OLDER.get(suite, ()), json.dumps(ENGINE))
    return "\n".join([suite, *_FIRST, *_packages(suite, bare=bare), *more, _NETWORK])


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
