"""Runs the commands of the README and the quickstart in the folder of a running `orchestrator up`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.up import PATIENCE, Up, clean_environment

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The folder of the reader at this point."""
    with Up(tmp_path_factory.mktemp("up")) as up:
        yield up


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code on a page."""
    return [re.sub(r"(?m)^ +", "", found) for found in _fenced(page, language)]


def _fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^ *```{language}\n(.*?)^ *```$", (ROOT / page).read_text())


def typed(up: Up, argv: list[str]) -> str:
    """The output of a program that starts as for the reader; it must succeed."""
    done = subprocess.run(
        argv,
        cwd=up.folder,
        env=clean_environment(PATH=PATH),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "said"), [("README.md", 2), ("docs/quickstart.md", 3)])
def test_the_commands_say_what_the_page_shows(up: Up, page: str, said: int) -> None:
    """Line by line. There may be other lines between the lines of the page."""
    (block,) = (block for block in blocks(page, "console") if "orchestrator run" in block)
    lines = block.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ") and "orchestrator up" not in line]
    shown = [line for line in lines if not line.startswith("$ ")]
    assert len(shown) == said
    heard = iter(typed(up, ["bash", "-c", "\n".join(commands)]).splitlines())
    assert [line for line in shown if line not in heard] == []


def test_the_python_program_follows_its_task_to_the_end(up: Up) -> None:
    """It finds the servers of `up` by itself."""
    (program,) = _fenced("README.md", "python")
    assert typed(up, [sys.executable, "-c", program]).splitlines() == [
        "0 queued",
        "1 running",
        "2 collecting",
        "3 uploading",
        "4 succeeded",
    ]
