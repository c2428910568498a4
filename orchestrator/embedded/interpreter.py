"""The Python that SecantusDB runs under: this one, or an older one in a virtual environment of its own.

SecantusDB is a Python program and has no wheels for Python 3.14. It runs as a separate process, so it may have another Python.
``secantusdb.txt`` locks the packages of that environment.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from orchestrator.errors import InfrastructureError
from orchestrator.release import how_to_install

PACKAGE = "secantusdb"
OLDER = ("3.13", "3.12", "3.11")
"""The supported Pythons for which it has wheels; the best one first."""
_LOCK = Path(__file__).with_name("secantusdb.txt")
_ASK = "import ensurepip, sys, venv; print(*sys.version_info[:2], sep='.')"
_RUNNING = ".".join(map(str, sys.version_info[:2]))


def interpreter() -> str:
    """The path of a Python that has SecantusDB. Makes its environment if it is missing or out of date.

    Raises InfrastructureError, with one sentence that says which package to install.
    """
    if is_here():
        return sys.executable
    if _RUNNING in OLDER:
        raise InfrastructureError(PACKAGE, f"not installed: run {how_to_install('embedded')}")
    home = Path(sys.prefix) / PACKAGE
    try:
        with _alone(home):
            if not _is_current(home):
                _make(home)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InfrastructureError(PACKAGE, f"its environment {home} could not be made: {_reason(error)}") from None
    return str(_python(home))


def is_here() -> bool:
    """Whether this Python has SecantusDB."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def older() -> str | None:
    """The path of an older Python that can make environments, from PATH or from uv; None if there is none."""
    return next((path for path in _candidates() if _answer(path, "-c", _ASK) in OLDER), None)


def _candidates() -> Iterator[str]:
    for version in OLDER:
        if found := shutil.which(f"python{version}"):
            yield found
    if (uv := shutil.which("uv")) and (found := _answer(uv, "python", "find", "--system", f">={OLDER[-1]},<={OLDER[0]}.99")):
        yield found


def _answer(*command: str) -> str:
    """The output of a command; empty if it fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process at a time makes the environment; the others wait for it."""
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current(home: Path) -> bool:
    """Whether the environment was made from the present lock, and its Python still exists."""
    made = home / _LOCK.name
    return made.exists() and made.read_bytes() == _LOCK.read_bytes() and os.access(_python(home), os.X_OK)


def _make(home: Path) -> None:
    """Make the environment. The copy of the lock comes last, so that an unfinished environment does not count."""
    python = older()
    if python is None:
        raise InfrastructureError(
            PACKAGE,
            f"it has no build for Python {_RUNNING}, and no Python {OLDER[-1]} to {OLDER[0]} with its venv module is on the "
            f"path: install one (Debian: apt-get install python{OLDER[0]}-venv; elsewhere: uv python install {OLDER[0]}), "
            "or set MONGO_URI to a MongoDB of your own",
        )
    _run(python, "-m", "venv", "--clear", str(home))
    pip = "-m pip install -qq --disable-pip-version-check --no-compile --no-deps --only-binary :all: --require-hashes -r"
    _run(str(_python(home)), *pip.split(), str(_LOCK))
    shutil.copyfile(_LOCK, home / _LOCK.name)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603


def _reason(error: OSError | subprocess.CalledProcessError) -> str:
    """The last line of a command's output, which names the problem."""
    if isinstance(error, OSError):
        return str(error)
    lines = str(error.output).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"{error.cmd[0]} exits with {error.returncode}")


def _python(home: Path) -> Path:
    return home / "bin" / "python"
