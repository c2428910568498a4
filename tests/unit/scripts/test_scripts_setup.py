"""The script that makes .venv, on machines that lack something: each ends in a sentence."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
Program = Callable[[str, str], None]
NOBODY = "echo 1000"
ROOT_USER = "echo 0"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the script and a lock, on a machine with no Python, no apt and none but an ordinary user."""
    for folder in ("scripts", "requirements", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "requirements" / "dev.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    for name in ("sh", "cat", "dirname", "sha256sum", "cp"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


@pytest.fixture
def program(checkout: Path) -> Program:
    """Puts a shell script into the folder that is the whole path."""

    def put(name: str, script: str) -> None:
        file = checkout / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    put("id", NOBODY)
    return put


def setup(checkout: Path) -> "subprocess.CompletedProcess[str]":
    """Call it."""
    path = {"PATH": str(checkout / "bin")}
    return subprocess.run([checkout / "scripts" / "setup"], env=path, capture_output=True, text=True, check=False)


def python(checks: str = "exit 0", venv: str = "mkdir .venv; exit 1") -> str:
    """A Python that the lock is made for. ``checks`` answers whether it has its venv module, ``venv`` makes an environment."""
    return f"""
PATH={os.defpath}
case "$*" in
-V) echo Python 3.14.0 ;;
*ensurepip*) {checks} ;;
*-venv*) echo python3.14-venv ;;
-c*) exit 0 ;;
*venv*) {venv} ;;
esac
"""


@pytest.mark.usefixtures("program")
def test_without_python_it_says_what_to_do(checkout: Path) -> None:
    """To those who may not install one."""
    done = setup(checkout)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "setup: no Python 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python3 …\n"


def test_it_says_before_it_installs_a_package_how_to_undo_that(checkout: Path, program: Program) -> None:
    """To root, whose machine it changes."""
    program("id", "echo 0")
    program("apt-get", "exit 100")
    done = setup(checkout)
    assert done.stdout == "setup: installing python3 python3-venv; `apt-get purge python3 python3-venv` undoes it\n"


def test_a_python_that_is_too_old_or_too_new_does_not_count(checkout: Path, program: Program) -> None:
    """It runs, and its version is not one of the lock's."""
    program("python3", "exit 1")
    assert "no Python 3.11 to 3.14 found" in setup(checkout).stderr


def test_root_gets_python_on_debian(checkout: Path, program: Program) -> None:
    """With its venv module."""
    program("id", ROOT_USER)
    (checkout / "python").write_text("#!/bin/sh\n" + python(venv="exit 1"))
    (checkout / "python").chmod(0o755)
    program("apt-get", f'echo "$@" >>{checkout}/asked; cp {checkout}/python {checkout}/bin/python3')
    done = setup(checkout)
    assert (checkout / "asked").read_text().splitlines()[-1].endswith("--no-install-recommends python3 python3-venv")
    assert "making .venv with Python 3.14.0" in done.stdout


def test_where_apt_has_nothing_it_says_so(checkout: Path, program: Program) -> None:
    """Below apt's own complaint."""
    program("id", ROOT_USER)
    program("apt-get", "echo E: no network >&2; exit 100")
    done = setup(checkout)
    assert done.returncode == 1
    complaints = done.stderr.splitlines()
    assert complaints[-1] == "setup: apt-get cannot install python3 python3-venv; see to what it says above, then repeat this"
    assert set(complaints[:-1]) == {"E: no network"}


def test_without_the_venv_module_it_says_which_package_has_it(checkout: Path, program: Program) -> None:
    """It has the name of the version."""
    program("python3", python(checks="exit 1"))
    done = setup(checkout)
    package = "on Debian or Ubuntu run: sudo apt-get install python3.14-venv"
    assert done.stderr == f"setup: {checkout}/bin/python3 cannot make virtual environments; {package}\n"
    assert done.returncode == 1


def test_what_keeps_the_environment_from_being_made_is_named(checkout: Path, program: Program) -> None:
    """Python or pip has said it above."""
    program("python3", python(venv="echo no space >&2; exit 1"))
    done = setup(checkout)
    assert done.stderr.splitlines() == [
        "no space",
        f"setup: {checkout}/bin/python3 cannot make .venv; see to what it says above, then repeat this",
    ]
    program(
        "python3",
        python(
            venv="mkdir -p .venv/bin; echo '#!/bin/sh\necho no index >&2; exit 1' >.venv/bin/python; chmod +x .venv/bin/python"
        ),
    )
    done = setup(checkout)
    assert done.stderr.splitlines()[0] == "no index"
    assert done.stderr.splitlines()[1].startswith("setup: pip cannot install requirements/dev.txt; see to what it says above")
    assert not (checkout / ".venv" / "locked").exists()
