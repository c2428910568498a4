"""Runs real programs side by side, shows what becomes of them, and checks it: the main job in one look.

Needs a Docker engine and the image ``orchestrator-busybox:1``; `make demo` sees to both.
"""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

from attrs import define, field
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli.down import READY
from orchestrator.cli.render import coloured, memory, seconds
from orchestrator.cli.render import console as console_on
from orchestrator.client import Client
from orchestrator.embedded import leash
from orchestrator.errors import OrchestratorError
from orchestrator.settings.environment import FILE, read
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.wiring import connect
from scripts.demo_programs import IMAGE, PROGRAMS, Program, first_line
from statemachine import TERMINAL, State

DATA = Path(".orchestrator/demo")
AT_ONCE = 4
_NOT_SHOWN = ("submit", "page", "stop")
"""Lines of `up` that are said elsewhere, or do not apply to a demo that ends by itself."""


@define
class Row:
    """What is known of one task while it goes its way."""

    program: Program
    task_id: str
    events: list[Event] = field(factory=list)
    spinner: Spinner = field(factory=lambda: Spinner("dots"))

    @property
    def state(self) -> State:
        """The last one heard of."""
        return self.events[-1].status if self.events else State.QUEUED

    @property
    def elapsed(self) -> float:
        """Seconds since it was put in line, until it ended."""
        if not self.events:
            return 0.0
        end = self.events[-1].at if self.events[-1].is_last else datetime.now(UTC)
        return (end - self.events[0].at).total_seconds()


Heard = SimpleQueue[tuple[Row, Event | OrchestratorError]]


def main() -> int:
    """Run the demo; 0 when every task ended as it has to."""
    console = console_on(sys.stdout)
    began = time.monotonic()
    try:
        with servers(console) as client:
            tasks = [(row.program, client.get(row.task_id)) for row in perform(console, client)]
            console.print(summary(client, tasks))
            surprises = [words for program, task in tasks if (words := program.surprise(client, task))]
    except KeyboardInterrupt:
        return 130
    except OrchestratorError as error:
        surprises = [str(error)]
    for words in surprises:
        console.print(Text(f"not as expected: {words}", "red"))
    if not surprises:
        took = time.monotonic() - began
        console.print(f"All {len(PROGRAMS)} ended as they should, {took:.0f} s in all. {farewell()}", soft_wrap=True)
    return 1 if surprises else 0


@contextmanager
def servers(console: Console, data: Path = DATA) -> Iterator[Client]:
    """A client for the servers and the worker of a separate `orchestrator up`, which is stopped at the end of the block."""
    up = [sys.executable, "-m", "orchestrator", "up", "--data", str(data), "--concurrency", str(AT_ONCE)]
    tied = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *up]  # it dies with us, however we die
    # no registry is asked for the image that is not there, so the demo takes as long without a network
    environment = {**os.environ, "PULL_POLICY": "never", "PYTHONUNBUFFERED": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(tied, env=environment, start_new_session=True, **output) as process:  # type: ignore[call-overload]
        try:
            with progress(console, "Starting Valkey, SecantusDB, SeaweedFS and a worker"):
                lines = _until_ready(process)
            console.print(Text("".join(line for line in lines if not line.startswith(_NOT_SHOWN)), "dim"))
            if page := _page(lines):
                console.print(f"Watch the tasks in a browser while they run: {page}\n", soft_wrap=True)
            yield Client(connect(Settings.load(read(data / FILE))))
        finally:
            with progress(console, "Stopping the worker and the servers") if process.poll() is None else nullcontext():
                process.terminate()
                process.wait()


def progress(console: Console, words: str) -> AbstractContextManager[object]:
    """Say what is being waited for: while it lasts in a terminal, in a line elsewhere."""
    if console.is_terminal:
        return console.status(words)
    console.print(words)
    return nullcontext()


def _until_ready(process: "subprocess.Popen[str]") -> list[str]:
    """What `up` says about what runs where."""
    lines: list[str] = []
    for line in process.stdout or ():
        if line.rstrip() == READY:
            return lines
        lines.append(line)
    process.wait()
    sys.exit("".join(lines).rstrip() or "`orchestrator up` ended without a word; start it by hand to see why")


def _page(lines: list[str]) -> str | None:
    """The address of the page, which `up` prints; it has none where the API is not installed."""
    return next((line.split()[1] for line in lines if line.startswith("page ")), None)


def perform(console: Console, client: Client) -> list[Row]:
    """Submit all programs and follow each to its end: a table that lives in a terminal, a line for each event elsewhere."""
    run = secrets.token_hex(3)
    rows = [Row(program, client.submit(program.request, f"{program.name}-{run}").id) for program in PROGRAMS]
    heard: Heard = SimpleQueue()
    for row in rows:
        threading.Thread(target=_follow, args=(client, row, heard), daemon=True).start()
    live = Live(get_renderable=lambda: board(rows), console=console, refresh_per_second=10, transient=True)
    with live if console.is_terminal else nullcontext():
        while not all(row.state in TERMINAL for row in rows):
            row, event = heard.get()
            if isinstance(event, OrchestratorError):
                raise event
            row.events.append(event)
            if not console.is_terminal:
                console.print(f"{row.elapsed:5.1f} s  {row.program.name:<8} {row.state}")
    return rows


def _follow(client: Client, row: Row, heard: Heard) -> None:
    try:
        for event in client.watch(row.task_id):
            heard.put((row, event))
    except OrchestratorError as error:
        heard.put((row, error))


def board(rows: list[Row]) -> Table:
    """Where every task is at this moment."""
    columns = "TASK", "WHAT IT DOES", Column("STATUS", min_width=12), Column("TIME", justify="right", min_width=6)
    table = Table(*columns, box=SIMPLE_HEAD)
    for row in rows:
        state: Text | Spinner = coloured(row.state)
        if row.state not in TERMINAL | {State.QUEUED}:
            row.spinner.update(text=state)
            state = row.spinner
        table.add_row(row.program.name, row.program.words, state, f"{row.elapsed:.1f} s")
    return table


def summary(client: Client, tasks: list[tuple[Program, Task]]) -> Text:
    """What became of every task, and below it where its log is and how that begins."""
    lines = [Text(_cells("TASK", "STATUS", "CAUSE", "EXIT", "RAN", "MEMORY"), "bold")]
    for program, task in tasks:
        code = "" if task.exit_code is None else str(task.exit_code)
        line = Text(_cells(program.name, task.status, task.cause or "", code, seconds(task), memory(task)))
        line.highlight_words([task.status], coloured(task.status).style)
        lines += [line, Text.assemble(" " * 8, (_log(client, task), "dim"))]
    return Text("\n").join([*lines, Text()])


def _cells(name: str, state: str, cause: str, code: str, ran: str, most: str) -> str:
    return f"{name:<8}{state:<11}{cause:<14}{code:>4}{ran:>9}{most:>11}"


def _log(client: Client, task: Task) -> str:
    """The object that holds what the program wrote, and its first line; or why there is none."""
    if task.logs is None:
        return task.message
    log = task.logs.stdout if task.logs.stdout.bytes else task.logs.stderr
    return f"{task.logs.bucket}/{log.key}: {first_line(client, task)}"


def farewell() -> str:
    """How to do it oneself."""
    program = Path(sys.executable).with_name("orchestrator")
    name = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    return (
        "Now you. These tasks in a browser:\n\n"
        f"  {name} up --data {DATA}\n\n"
        "It prints the address of a page. Click on a task that failed: the first card says why.\n"
        "Or your own tasks, in two terminals in this folder:\n\n"
        f"  {name} up\n"
        f"  {name} run --memory 64m --timeout 5s {IMAGE} sh -c 'echo hello; exit 3'\n\n"
        f"and then {name} list, show, logs, doctor. This up, too, prints the address of a page."
    )


if __name__ == "__main__":
    sys.exit(main())
