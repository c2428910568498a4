"""A stream that is closed when a command begins (``>&-``, ``2>&-``, ``<&-``): the command goes on as with /dev/null."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator import log as logs
from orchestrator.cli import main
from orchestrator.testing.programs import Program
from tests.unit.cli.command_line import CommandLine
from tests.unit.cli.test_cli_start import ON_ONE_TASK

WORKS = Program(stdout=b"out", stderr=b"err", exit_code=3)
STORED = ON_ONE_TASK.partition("try:")[0] + "main(sys.argv[1:])"
"""The command line with one task, in a process of its own."""


@contextmanager
def closed(name: str) -> Iterator[None]:
    """Python has None in place of a stream that is closed at its start."""
    open_one = getattr(sys, name)
    setattr(sys, name, None)
    try:
        yield
        if opened := getattr(sys, name):
            opened.close()
    finally:
        setattr(sys, name, open_one)


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("flag", ["--memory=64m", "--json", "--quiet", "--raw"])
def test_run_ends_as_its_program_without_a_stream(tmp_path: Path, name: str, flag: str) -> None:
    """Whichever is missing, and whatever is printed."""
    call = CommandLine(tmp_path, {("work",): WORKS})
    with closed(name), pytest.raises(SystemExit) as ended:
        main.main(["run", flag, "busybox", "work"], obj=call.client)
    assert ended.value.code == WORKS.exit_code


def test_stdin_that_is_closed_is_empty(tmp_path: Path) -> None:
    """As that of a program that `docker run -i` starts so."""
    call = CommandLine(tmp_path, {("work",): WORKS})
    with closed("stdin"), pytest.raises(SystemExit) as ended:
        main.main(["run", "--stdin", "--id=mine", "busybox", "work"], obj=call.client)
    assert ended.value.code == WORKS.exit_code


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
def test_a_command_prints_to_the_streams_that_are_there(closing: str, tmp_path: Path) -> None:
    """It ends well without the others."""
    argv = ["sh", "-c", f'exec "$@" {closing}', "sh", sys.executable, "-c", STORED, "list"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("mine" in done.stdout) == (closing != ">&-")


def test_a_log_without_a_stream_goes_nowhere() -> None:
    """As in a job of RQ's own worker that was started without stderr."""
    logs.configure(None, json=True)
    logs.logger.error("unheard")
