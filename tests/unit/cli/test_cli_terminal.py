"""What a terminal would obey reaches it from no command, but by the program's own bytes where that is wanted."""

import ast
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from click.testing import _NamedTextIOWrapper
from loguru import logger

import orchestrator.cli
from orchestrator import log as logs
from orchestrator.cli.terminal import Decoder, printable, say, say_json
from orchestrator.errors import UnknownTask
from orchestrator.testing.programs import Program
from tests.unit.cli.command_line import CommandLine

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\r"
LOUD = Program(stdout=f"one{EVIL}\ttwo\r\nthree\n".encode() + b"\xff\x1b[1m\n", stderr=b"\x1b[5merr\n")
SAFE = {"\n", "\t"}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams of a command are terminals."""
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)


@pytest.fixture
def call(tmp_path: Path) -> CommandLine:
    """A command line with one finished task, ``mine``."""
    call = CommandLine(tmp_path, {("loud",): LOUD})
    call("run", "--id", "mine", "-q", "busybox", "loud")
    return call


def obeyed(text: str) -> set[str]:
    """The signs in it that a terminal would act on."""
    return {sign for sign in text if not sign.isprintable()} - SAFE


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", [("logs", "mine"), ("run", "-q", "busybox", "loud")])
def test_output_in_a_terminal_is_text(call: CommandLine, command: tuple[str, ...]) -> None:
    """On both streams; lines and tabs stay, and a carriage return ends its line."""
    result = call(*command)
    assert not obeyed(result.stdout)
    assert not obeyed(result.stderr)
    assert result.stdout.startswith("one\ufffd]0;title\ufffd\ufffd[2J\ufffd31m\ufffd\n\ttwo\nthree\n")
    assert result.stderr == "\ufffd[5merr\n"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", [("logs", "--raw", "mine"), ("run", "-q", "--raw", "busybox", "loud")])
def test_raw_output_in_a_terminal_is_the_programs_own(call: CommandLine, command: tuple[str, ...]) -> None:
    """Byte for byte."""
    result = call(*command)
    assert (result.stdout_bytes, result.stderr_bytes) == (LOUD.stdout, LOUD.stderr)


def test_output_into_a_file_is_the_programs_own(call: CommandLine) -> None:
    """Without being asked."""
    result = call("logs", "mine")
    assert (result.stdout_bytes, result.stderr_bytes) == (LOUD.stdout, LOUD.stderr)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_text_does_not_depend_on_the_pieces_it_comes_in(size: int) -> None:
    """Signs of several bytes and line ends may be cut in two."""
    text = "é☃\r\n\x1b[0m\r.\n".encode()
    decoder = Decoder()
    told = "".join(decoder.text(text[at : at + size]) for at in range(0, len(text), size)) + decoder.text(b"", final=True)
    assert told == "é☃\n\ufffd[0m\n.\n"


def test_whatever_is_said_is_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    """A line stays a line; in JSON the lines between the values stay."""
    say(f"a{EVIL}\nb")
    say(UnknownTask(f"no {EVIL}"), err=True)
    say_json('{\n "a": "\x7f"\n}')
    out, err = capsys.readouterr()
    assert not obeyed(out)
    assert not obeyed(err)
    assert out.splitlines() == [printable(f"a{EVIL}\nb"), "{", ' "a": "\ufffd"', "}"]


def test_what_commands_tell_of_a_forged_document_is_cleaned(call: CommandLine) -> None:
    """An account that may insert documents chooses ids, images and messages."""
    store = call.world.services.store
    document = dict(store.find("mine") or {})
    store.insert(document | {"_id": f"id{EVIL}", "message": EVIL, "image": EVIL, "worker": EVIL, "command": [EVIL]})
    for command in ("show", f"id{EVIL}"), ("list",), ("cancel", f"id{EVIL}"), ("show", f"none{EVIL}"), ("sweep", "--dry-run"):
        result = call(*command)
        assert not obeyed(result.stdout + result.stderr), command


def _echoes() -> Iterator[str]:
    """Where a command prints by click's own function or by Python's."""
    for path in Path(orchestrator.cli.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"click.echo", "click.secho", "print"}:
                yield f"{path.name}: {ast.unparse(node)}"


def test_commands_print_by_one_function() -> None:
    """Beside it there is the report of the doctor, which has colours of its own around what is cleaned."""
    assert {echo.partition(":")[0] for echo in _echoes()} <= {"terminal.py", "doctor.py"}


def test_a_traceback_in_the_log_commands_no_terminal() -> None:
    """Its last line is what an engine or a document said."""
    stream = StringIO()
    logs.configure(stream, json=False)
    logger.opt(exception=ValueError(EVIL)).error("failed")
    assert "ValueError: " in stream.getvalue()
    assert not obeyed(stream.getvalue())
