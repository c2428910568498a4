"""Debian's packages: install some as root, or read a file out of one without installing it."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

_APT = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3")


class NotReady(Exception):
    """The machine lacks something; the message says what, and what to do."""


def can_install() -> bool:
    """Whether this is root on a machine with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*names: str) -> None:
    """Install packages without questions and without what they merely recommend. Raises NotReady with apt's complaint."""
    _update()
    _run(*_APT, "install", "--no-install-recommends", *names)


def read(package: str, path: str) -> bytes:
    """One file of the newest version of a package. Raises NotReady when apt cannot get it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # apt downloads as a user of its own
        try:
            _run(*_APT, "download", package, cwd=folder)
        except NotReady:
            if not can_install():
                raise
            _update()
            _run(*_APT, "download", package, cwd=folder)
        (archive,) = Path(folder).glob("*.deb")
        content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=BytesIO(content)) as files:
        member = files.extractfile(path)
        if member is None:
            raise NotReady(f"{path} in the package {package} is not a file")
        return member.read()


def _update() -> None:
    with suppress(NotReady):  # some other source may be away; if ours is, the next step fails and says so
        _run(*_APT, "update")


def _run(*command: str, cwd: str | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise NotReady(f"{command[0]} is not on this machine") from None
    if done.returncode:
        raise NotReady(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")
