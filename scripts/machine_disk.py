"""The disks that machines boot from: a Debian of one suite, made with debootstrap and kept between runs.

A disk holds the packages, an ssh key's other half, and (but for a bare one) Docker, this checkout's ``.venv`` and the images
that tests run in. A disk's name has the hash of all that it was made from, so that a change makes another one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.packages import NotReady, can_install, install

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestrator-machines"
CHECKOUT = Path(__file__).resolve().parent.parent
INSIDE = Path("/root/orchestrator")
"""Where the checkout is inside a machine."""
SUITES = ("bookworm", "trixie", "forky")
"""Debian 12, Debian 13 and testing."""
IMAGES = Path("root/images")
"""Where a disk keeps the images that its engine loads at the first boot."""
KEPT = 3
"""How many disks of one suite are kept, the newest ones."""
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
_BARE = [
    "dbus",
    "udev",
    "kmod",
    "iproute2",
    "ca-certificates",
    "linux-image-cloud-amd64",
    "openssh-server",
    "python3",
    "make",
    "git",
]
_WHOLE = ["docker.io", "docker-cli", "crun", "tini", "python3-venv", "apparmor", "iptables", "procps", "busybox-static"]
_LACKS = {("bookworm", "docker-cli")}
"""Packages that a suite does not have, since another one holds their files."""
_NETWORK = """[Unit]
DefaultDependencies=no
After=systemd-udevd.service systemd-udev-settle.service
Before=network.target ssh.service docker.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until test -e /sys/class/net/eth0; do sleep 0.1; done; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0'
[Install]
WantedBy=multi-user.target
"""


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
    folder = CACHE / f"{suite}-bare" if bare else CACHE / suite
    wanted = [_recipe(suite, bare=bare)] + ([] if bare else [(CHECKOUT / name).read_text() for name in _SETUP])
    return Disk(folder / f"{_hash(*wanted)}.ext4")


_SETUP = ("requirements/dev.txt", "scripts/setup")


def make(suite: str, *, bare: bool) -> Disk:
    """Make the disk unless it is there. Raises NotReady."""
    made = disk(suite, bare=bare)
    if made.path.exists():
        os.utime(made.path)
        return made
    need()
    root = _root(suite, made.path.parent, bare=bare)
    if not bare:
        _set_up(root)
        _save_images(root)
    part = made.path.with_suffix(".part")
    part.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(part), "16G")
    for kind, path in (("vmlinuz", made.kernel), ("initrd.img", made.initrd)):
        shutil.copy(max(root.glob(f"boot/{kind}-*")), path)
    part.rename(made.path)
    _prune(made.path.parent)
    return made


def need() -> None:
    """Have the programs that make and boot disks. Raises NotReady."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in _NEEDS.items() if not shutil.which(program, path=path)})
    if missing and not can_install():
        raise NotReady(f"machines need the packages {', '.join(missing)}; on Debian or Ubuntu root can install them")
    if missing:
        print(f"machines: installing {', '.join(missing)}", flush=True)
        install(*missing)


def run(*command: str, log: Path | None = None, **environment: str) -> None:
    """Run a command to its end. Raises NotReady with the end of what it printed."""
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"} | environment,
    )
    if log:
        with log.open("a") as file:
            file.write(done.stdout)
    if done.returncode:
        raise NotReady(f"`{' '.join(command)[:200]}` failed:\n{done.stdout[-2000:].strip()}")


def _root(suite: str, folder: Path, *, bare: bool) -> Path:
    """A folder with the suite's files, made in about a minute."""
    root, stamp, recipe = folder / "root", folder / "recipe", _hash(_recipe(suite, bare=bare))
    if stamp.exists() and stamp.read_text() == recipe:
        return root
    if os.geteuid() != 0:
        raise NotReady(f"only root can make a disk with {suite}")
    print(f"machines: making a Debian {suite}{' without an engine' if bare else ''}, about two minutes", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log"
    script = Path("/usr/share/debootstrap/scripts") / suite
    like = [] if script.exists() else [str(script.with_name("sid"))]
    run("debootstrap", "--variant=minbase", suite, str(root), _mirror(), *like, log=log)
    _install(root, suite, bare=bare, log=log)
    _open(root, folder)
    stamp.write_text(recipe)
    return root


def _mirror() -> str:
    sources = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=False, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    return next((source for source in sources if source.rstrip("/").endswith("/debian")), "http://deb.debian.org/debian")


def _install(root: Path, suite: str, *, bare: bool, log: Path) -> None:
    """Install the packages; no service of theirs starts, as the machine is not this one."""
    deny = root / "usr/sbin/policy-rc.d"
    deny.write_text("#!/bin/sh\nexit 101\n")
    deny.chmod(0o755)
    for packages in (_FIRST, _packages(suite, bare=bare)):
        apt = ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
        run("chroot", str(root), *apt, log=log, DEBIAN_FRONTEND="noninteractive")
    deny.unlink()
    run("chroot", str(root), "apt-get", "clean")
    for authority in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        shutil.copy(authority, root / "usr/local/share/ca-certificates")
    run("chroot", str(root), "update-ca-certificates", log=log)


def _open(root: Path, folder: Path) -> None:
    """Let root in with a key of the disk's own, on an address that qemu knows."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "orchestrator-machine", "-f", str(folder / "key"))
    (root / "root/.ssh").mkdir(mode=0o700)
    shutil.copy(folder / "key.pub", root / "root/.ssh/authorized_keys")
    (root / "etc/systemd/system/machine-network.service").write_text(_NETWORK)
    run("chroot", str(root), "systemctl", "enable", "machine-network.service", "ssh.service")
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _set_up(root: Path) -> None:
    """Make the checkout's .venv with the suite's own Python, at this machine's speed; a machine has no network for it."""
    inside = root / INSIDE.relative_to("/")
    shutil.rmtree(inside, ignore_errors=True)
    for name in checkout_files():
        target = inside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    pip = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "PIP_CONFIG_FILE": os.devnull, "HOME": "/root"}
    try:
        run("chroot", str(root), str(INSIDE / "scripts/setup"), **pip)
        run("chroot", str(root), "sh", "-c", f"{INSIDE}/.venv/bin/python -m compileall -q {INSIDE}/.venv || true")
    except NotReady as reason:
        print(f"machines: this disk has no .venv: {reason}", flush=True)
    finally:
        (root / "etc/resolv.conf").unlink()


def _save_images(root: Path) -> None:
    """The images that tests run in, from the engine here; what it lacks the machine lacks, too."""
    folder = root / IMAGES
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = CHECKOUT / ".venv/bin/python"
    if python.exists():
        run(str(python), "-c", _SAVE, str(folder))


_SAVE = """
import sys, docker
from scripts.engine import address, answers
if answers(address()):
    client = docker.DockerClient(base_url=address(), timeout=600)
    for image in client.images.list(name="orchestrator-busybox:1"):
        with open(sys.argv[1] + "/busybox.tar", "wb") as file:
            file.writelines(image.save(named="orchestrator-busybox:1"))
"""


def checkout_files() -> list[str]:
    """The checkout's files by name: what git tracks or would, as it is in the folder."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\0")
    return sorted({name for name in listed if name and os.path.lexists(CHECKOUT / name)})


def _prune(folder: Path) -> None:
    disks = sorted(folder.glob("*.ext4"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in disks[KEPT:]:
        for path in folder.glob(f"{old.stem}.*"):
            path.unlink()


def _packages(suite: str, *, bare: bool) -> list[str]:
    return [name for name in _BARE + ([] if bare else _WHOLE) if (suite, name) not in _LACKS]


def _recipe(suite: str, *, bare: bool) -> str:
    return "\n".join([suite, *_FIRST, *_packages(suite, bare=bare), _NETWORK])


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
