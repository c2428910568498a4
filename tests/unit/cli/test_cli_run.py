"""The commands `run` and `submit`, on services in memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

import orchestrator.cli
from orchestrator.cli import main
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.output.following import Missed
from orchestrator.ports import Piece
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing.programs import FOREVER, Program
from tests.unit.cli.command_line import CommandLine

EVERY_BYTE = bytes(range(256))


def command_line(folder: Path, program: Program) -> CommandLine:
    """A command line on which ``busybox program`` runs the program."""
    return CommandLine(folder, {("program",): program})


def test_run_prints_what_the_program_prints_byte_for_byte_on_the_stream_it_went_to(tmp_path: Path) -> None:
    """Nothing is added, decoded or lost."""
    call = command_line(tmp_path, Program(stdout=EVERY_BYTE, stderr=b"\xffwarning"))
    result = call("run", "--quiet", "busybox", "program")
    assert (result.exit_code, result.stdout_bytes, result.stderr_bytes) == (0, EVERY_BYTE, b"\xffwarning")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (Program(), 0),
        (Program(exit_code=3), 3),
        (Program(exit_code=139), 139),
        (Program(exit_code=137, oom_killed=True), 137),
        (FOREVER, 124),
        (Program(floods=True, stdout=b"x" * 2048), 125),
    ],
)
def test_run_ends_as_docker_run_does(tmp_path: Path, program: Program, code: int) -> None:
    """The program's own code, 124 for timed out, 125 when it is not the program's."""
    assert command_line(tmp_path, program)("run", "--output-limit", "1k", "busybox", "program").exit_code == code


def test_run_says_why_when_it_was_not_the_program_that_ended(tmp_path: Path) -> None:
    """Also when it was asked to be quiet."""
    call = command_line(tmp_path, Program(floods=True, stdout=b"x" * 2048))
    result = call("run", "--quiet", "--output-limit", "1k", "busybox", "program")
    assert "limit of 1 KiB" in result.stderr
    assert result.stdout_bytes == b"x" * 1024


def test_run_tells_the_end_alone_where_nobody_looks_at_a_screen(tmp_path: Path) -> None:
    """What the program writes to stderr is not mixed with lines about its progress; one line sums it up."""
    result = command_line(tmp_path, Program(stderr=b"own\n", exit_code=3))("run", "--id", "mine", "busybox", "program")
    own, summary = result.stderr.splitlines()
    assert own == "own"
    assert "exited with status 3" in summary


def test_run_prints_the_final_document_alone_when_asked_for_json(tmp_path: Path) -> None:
    """One JSON value with dates in ISO 8601, fit for jq."""
    result = command_line(tmp_path, Program(stdout=b"out"))("run", "--json", "--id", "mine", "-e", "A=1", "busybox", "program")
    document = json.loads(result.stdout)
    assert {
        "_id": "mine",
        "image": "busybox",
        "env": {"A": "1"},
        "status": "succeeded",
        "exit_code": 0,
    }.items() <= document.items()
    assert document["created_at"].endswith("+00:00")
    assert [entry["status"] for entry in document["history"]] == ["running", "collecting", "uploading", "succeeded"]
    assert document == json.loads(json.dumps(document))


@pytest.mark.parametrize("command", ["run", "submit"])
def test_every_bad_value_gets_a_sentence_and_125(tmp_path: Path, command: str) -> None:
    """The code with which docker run says that the trouble is its own; nothing is stored."""
    call = CommandLine(tmp_path)
    result = call(command, "--cpus", "many", "-m", "-1", "busybox")
    assert result.exit_code == 125
    assert [line.split(":")[:2] for line in result.stderr.splitlines()] == [
        ["Error", " --cpus"],
        ["Error", " --memory"],
    ]
    assert call.client.list() == []


@pytest.mark.parametrize("arguments", [("--memori", "1", "busybox"), ("--cpus",)])
def test_a_command_line_that_cannot_be_read_is_125_too(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """So that 2 is always a program's."""
    result = CommandLine(tmp_path)("run", *arguments)
    assert result.exit_code == 125
    assert arguments[0] in result.stderr


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    """And the task that has it stays as it is."""
    call = CommandLine(tmp_path)
    assert call("run", "--id", "mine", "busybox").exit_code == 0
    result = call("submit", "--id", "mine", "busybox")
    assert (result.exit_code, result.stdout) == (125, "")
    assert "exists already" in result.stderr


def test_submit_prints_the_id_and_does_not_wait(tmp_path: Path) -> None:
    """Fit for a shell variable."""
    call = CommandLine(tmp_path, worker=False)
    result = call("submit", "busybox", "true")
    assert call.client.get(result.stdout.strip()).status == "queued"
    assert result.stderr.startswith("no worker takes tasks from queue")


def test_submit_prints_the_document_when_asked_for_json(tmp_path: Path) -> None:
    """As it is stored."""
    result = CommandLine(tmp_path, worker=False)(
        "submit", "--json", "--from", "-", stdin=b'{"image": "busybox", "_id": "mine"}'
    )
    assert json.loads(result.stdout)["_id"] == "mine"


class _Watched(Client):
    """A client whose view of the task breaks after the first event."""

    error: BaseException

    def follow(self, task_id: str, *_: object, **__: object) -> Iterator[Piece | Missed | Event]:
        yield next(super().follow(task_id))
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "Task mine goes on. Follow it with: orchestrator logs -f mine"),
        (InfrastructureError("redis", "away"), 125, "Lost sight of task mine. Look at it with: orchestrator show mine"),
    ],
)
def test_a_task_outlives_whoever_follows_it(tmp_path: Path, error: BaseException, code: int, words: str) -> None:
    """Ctrl-C and a lost server end the command, not the task; it says how to look at it."""
    call = CommandLine(tmp_path, worker=False)
    call.client = _Watched(call.world.services)
    call.client.error = error
    result = call("run", "--id", "mine", "busybox")
    assert result.exit_code == code
    assert words in result.stderr
    assert call.client.get("mine").status == "queued"


@pytest.mark.parametrize(
    ("typed", "sentences"),
    [
        (["--network", "host", "busybox"], ["--network host: a task gets no network here; only none is allowed"]),
        (["--network", "bridge", "-u", "0", "busybox"], ["--user: '0' is root, which", "--network bridge: a task gets no"]),
        (["--id", "a/b", "BAD IMAGE"], ["--id: 'a/b' is not an id", "IMAGE: 'BAD IMAGE' is not"]),
        (["--tmp-size", "1", "--pids-limit", "x", "busybox"], ["--pids-limit: 'x' is not", "--tmp-size: '1' is not"]),
    ],
)
def test_what_is_wrong_is_told_of_what_was_typed(tmp_path: Path, typed: list[str], sentences: list[str]) -> None:
    """The names of fields are for those who write tasks as JSON."""
    told = CommandLine(tmp_path, worker=False)("submit", *typed)
    found = told.stderr.splitlines()
    assert told.exit_code == 125
    assert [len(found)] + [any(line.startswith(f"Error: {each}") for line in found) for each in sentences] == [
        len(sentences),
        *[True] * len(sentences),
    ]


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ('{"image": "a", "timeout": 5}', "task: has unknown fields 'timeout'; `timeout` belongs into `limits`; allowed are"),
        (
            '{"image": "a", "limits": {"env": {}}}',
            "limits: has unknown fields 'env'; `env` belongs beside `limits`; allowed are",
        ),
        (
            '{"image": "a", "comand": []}',
            "task: has unknown fields 'comand'; for 'comand', did you mean `command`?; allowed are",
        ),
        ('{"image": "a", "network": true}', "network: true is not allowed here; only false is"),
    ],
)
def test_a_field_that_is_unknown_is_set_right(tmp_path: Path, task: str, sentence: str) -> None:
    """It belongs elsewhere, or another one is near."""
    told = CommandLine(tmp_path, worker=False)("submit", "--from", "-", stdin=task.encode())
    assert told.stderr.startswith(f"Error: {sentence}")


class _Interrupted(Client):
    """A client whose user presses Ctrl-C while a task is being stored."""

    def submit(self, request: Mapping[str, object], task_id: str | None = None) -> Task:
        super().submit(request, task_id)
        raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["run", "submit"])
def test_ctrl_c_says_whether_a_task_was_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Nothing while flags are read or servers are reached; perhaps, where that is cut off; and never "Aborted!"."""
    call = CommandLine(tmp_path, worker=False)
    with monkeypatch.context() as patch:
        patch.setattr(type(call.world.services), "deployment", property(lambda _: _interrupt()))
        told = call(command, "busybox")
        assert (told.exit_code, told.stdout, told.stderr) == (130, "", "nothing was handed in\n")
    with monkeypatch.context() as patch:
        patch.setattr(orchestrator.cli, "import_module", lambda _: _interrupt())
        told = call(command, "busybox")
        assert (told.exit_code, told.stderr) == (130, "nothing was handed in\n")
        assert "Aborted!" in CliRunner().invoke(main, ["list"]).stderr
    assert call.client.list() == []
    call.client = _Interrupted(call.world.services)
    told = call(command, "--id", "mine", "busybox")
    assert told.exit_code == 130
    assert told.stderr == "Task mine may have been handed in. Look for it with: orchestrator show mine\n"


def _interrupt() -> None:
    raise KeyboardInterrupt
