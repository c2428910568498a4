"""A program that uses the package is checked by mypy --strict as its author would: against the wheel, installed elsewhere."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
from orchestrator import Client
from orchestrator import Cleint  # type: ignore[attr-defined]
from statemachine import State


def seen(client: Client, task_id: str) -> list[tuple[int, State]]:
    return [(event.seq, event.status) for event in client.watch(task_id)]


with Client.from_env() as client:
    task = client.submit({"image": "busybox", "command": ["true"], "limits": {"memory": "64m"}}, "mine")
    reveal_type(task.id)
    reveal_type(client.get(task.id).cause)
    print(seen(client, task.id), b"".join(client.logs(task.id, "stdout")))
    client.submit("busybox")  # type: ignore[arg-type]
    client.cancel(1)  # type: ignore[arg-type]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_says_that_both_packages_have_types(wheel: Path) -> None:
    """Type checkers take no types from an installed package that does not."""
    with zipfile.ZipFile(wheel) as packed:
        assert {name for name in packed.namelist() if name.endswith("py.typed")} == {
            "orchestrator/py.typed",
            "statemachine/py.typed",
        }


def test_a_program_of_another_author_is_checked_against_the_types(wheel: Path, tmp_path: Path) -> None:
    """Right use passes, each wrong one is found: mypy complains of a comment that hides nothing."""
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (packages,) = tmp_path.glob("venv/lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    packages.joinpath("libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    tmp_path.joinpath("program.py").write_text(PROGRAM, encoding="utf-8")
    away = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MYPYPATH"}}
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", "venv/bin/python", "program.py"],
        cwd=tmp_path,
        env=away,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.splitlines() == [
        'program.py:13: note: Revealed type is "str"',
        'program.py:14: note: Revealed type is "orchestrator.cause.Cause | None"',
        "Success: no issues found in 1 source file",
    ]
