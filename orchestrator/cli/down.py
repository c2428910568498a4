"""The `down` command, and `up` in the background, which it stops."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from orchestrator import private_files as private
from orchestrator.cli.ending import INTERRUPTED
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.embedded import home
from orchestrator.errors import InfrastructureError
from orchestrator.folder_lock import is_held
from orchestrator.settings.environment import DATA

READY = "ready"
"""The last line that `up` says before it waits."""
APART = 1.2
"""Seconds between two requests; the worker takes what comes sooner for the first one, sent twice."""
_LOG, _PID = "up.log", "up.pid"
_LOOK = 0.05


@click.command("down", epilog=examples("orchestrator down", "orchestrator down --now --data /srv/orchestrator"))
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=DATA, show_default=True, help="Folder for data."
)
@click.option("--now", is_flag=True, help="Leave running tasks to the next `up`, which goes on with them.")
def down_command(data: Path, *, now: bool) -> None:
    """Stop the `up` of a folder: its worker, as soon as the running tasks have ended, and its servers."""
    process = _running(data)
    if process is None:
        say(f"no `orchestrator up` runs in {data}")
        return
    _ask(process)
    if now:
        time.sleep(APART)
        _ask(process)
    else:
        say("Stopping as soon as the running tasks have ended; `orchestrator down --now` leaves them to the next start.")
    try:
        select.select([process], [], [])
    except KeyboardInterrupt:
        say("It stops by itself.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    say("stopped")


def _ask(process: int) -> None:
    """Ask it to stop, unless it has ended meanwhile."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGTERM)


@contextmanager
def noted(data: Path) -> Iterator[None]:
    """A block in which `down` finds this process. The folder must be locked by it."""
    file = data / _PID
    with private.named(file), home.written(file) as note:
        note.write(f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def start_detached(data: Path, arguments: Sequence[str]) -> int:
    """Start the same command in the background and wait until it is ready; the exit code."""
    with home.written(data / _LOG) as log:
        process = subprocess.Popen(  # noqa: S603  this program, with its own arguments
            [sys.executable, "-m", "orchestrator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while READY not in (lines := _lines(data)):
            if process.poll() is not None:
                for line in lines:
                    say(line, err=True)
                return process.returncode or 1
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        process.terminate()
        raise
    for line in lines[: lines.index(READY)]:
        say("stop     orchestrator down" if line.startswith("stop ") else line)
    return 0


def _lines(data: Path) -> list[str]:
    return (data / _LOG).read_text(errors="replace").splitlines()


def _running(data: Path) -> int | None:
    """A descriptor of the `up` of the folder; None where none runs. Raises InfrastructureError."""
    if not data.is_dir() or not is_held(data):
        return None
    try:
        pid = int((data / _PID).read_text())
        process = os.pidfd_open(pid)
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        words = []
    if b"up" not in words:
        raise InfrastructureError("up", f"{data} is in use by a process that is not known, such as an older `orchestrator up`")
    return process
