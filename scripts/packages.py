"""Debian's packages: install some as root, or read a file out of one without installing it."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import docker

from orchestrator.errors import OrchestratorError

_APT = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3")


_COLUMNS = 3


class NotReady(Exception):
    """The machine lacks something; the message says what, and what to do."""


@contextmanager
def told(name: str) -> Iterator[None]:
    """Whatever goes wrong in the block ends the program with one sentence after its name, and never with a traceback."""
    try:
        yield
    except (NotReady, OrchestratorError) as reason:
        sys.exit(f"{name}: {reason}")
    except (OSError, subprocess.SubprocessError, tarfile.TarError, docker.errors.DockerException) as error:
        sys.exit(f"{name}: {type(error).__name__}, {error}; see to that, then repeat this")


def can_install() -> bool:
    """Whether this is root on a machine with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*names: str, if_known: Collection[str] = ()) -> None:
    """Install packages without questions and without what they merely recommend. Raises NotReady with apt's complaint.

    Not every release has the packages of ``if_known``; those that it has are installed too.
    """
    _update()
    wanted = [*names, *filter(_is_known, if_known)]
    print(f"packages: installing {' '.join(wanted)}; `apt-get purge {' '.join(wanted)}` undoes it", flush=True)
    _run(*_APT, "install", "--no-install-recommends", *wanted)


def read(package: str, path: str) -> bytes:
    """One file of the newest version of a package; ``path`` is the end of its path, as ``bin/busybox``.

    Some releases have it below /usr and some do not. Raises NotReady when apt cannot get the package or it has no such file.
    """
    return read_all(package, path)[0]


def read_all(package: str, *paths: str) -> list[bytes]:
    """The same for several files of one package."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # apt downloads as a user of its own
        try:
            _run(*_APT, "download", package, cwd=folder)
        except NotReady:
            if not can_install():
                raise
            _update()
            _run(*_APT, "download", package, cwd=folder)
        archive = next(Path(folder).glob("*.deb"))
        content = _run("dpkg-deb", "--fsys-tarfile", str(archive))
    return [_file(package, content, path) for path in paths]


def _file(package: str, content: bytes, path: str) -> bytes:
    with tarfile.open(fileobj=BytesIO(content)) as files:
        for member in files:
            if member.name.endswith(f"/{path}") and (file := files.extractfile(member)):
                return file.read()
    raise NotReady(f"the package {package} has no file that ends with /{path}; please report this")


def releases() -> dict[str, str]:
    """The codenames of the releases of Debian or Ubuntu that apt has, in the order of its sources, each with its mirror."""
    wanted = (
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN) $(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
        "Component: main",
    )
    rows = [line.split() for line in _run(*wanted).decode().splitlines()]
    found: dict[str, str] = {}
    for row in rows:
        if len(row) == _COLUMNS and row[0] in {"Debian", "Ubuntu"}:
            found.setdefault(row[1], row[2])
    return found


@cache
def _update() -> None:
    with suppress(NotReady):  # some other source may be away; if ours is, the next step fails and says so
        _run(*_APT, "update")


def _is_known(package: str) -> bool:
    """Whether apt can install it."""
    try:
        return b"Package:" in _run("apt-cache", "show", "--no-all-versions", package)
    except NotReady:
        return False


def _run(*command: str, cwd: str | None = None) -> bytes:
    """What the command prints. Raises NotReady with its complaint."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise NotReady(f"{command[0]} is not on this machine; only Debian and Ubuntu have it") from None
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()
        raise NotReady(f"`{' '.join(command)}` failed; see to what it says, then repeat this:\n{complaint}")
    return done.stdout
