"""The command line before any command does something: help, versions, mistakes, settings."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import COMMANDS, main
from orchestrator.cli.page import example_lines

HEAVY = frozenset(
    {
        "docker",
        "requests",
        "urllib3",
        "pymongo",
        "redis",
        "minio",
        "rq",
        "rich",
        "loguru",
        "cattrs",
        "tenacity",
        "prometheus_client",
    }
    | {f"orchestrator.{name}" for name in ("embedded", "doctor", "worker", "execution.runner", "reconcile.reconciler")}
)
"""What takes long to import, or brings what does."""
SETTINGS = frozenset({"loguru", "cattrs", "tenacity"})
READING = SETTINGS | {"pymongo"}
USED = {
    "list --help": SETTINGS,
    "show --help": SETTINGS,
    "cancel --help": SETTINGS,
    "run --help": SETTINGS,
    "list": READING | {"rich"},
    "list --json": READING,
    "list --output id --status queued --label a=b --since 1h --after mine": READING,
    "show mine": READING | {"rich", "redis", "rq"},  # it is queued, so the queue is asked for workers
    "show mine --json": READING,
    "logs mine": READING | {"minio", "urllib3"},
    "cancel other": READING | {"redis", "docker", "requests", "urllib3"},
}
"""What each uses of these. The help of a command needs what reads settings, because its module imports that."""
HELP = """
import sys
from orchestrator.cli import main
main(sys.argv[1:], standalone_mode=False)
print("", *sys.modules)
"""
ON_ONE_TASK = """
import sys
from orchestrator import wiring
from orchestrator.cli import main
from orchestrator.testing.task_store import MemoryTaskStore

store = MemoryTaskStore()
store.insert({"_id": "mine", "image": "busybox", "status": "queued", "seq": 0})
wiring._store = lambda _: store
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print("", *sys.modules)
"""


def imported(code: str, arguments: str, folder: Path) -> set[str]:
    """What of this the command line has imported when it ends, in a process without servers."""
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1", "MINIO_ENDPOINT": "127.0.0.1:1", "MONGO_URI": ""}
    argv = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    return HEAVY & {*done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_answers_without_importing_what_commands_need(arguments: str, tmp_path: Path) -> None:
    """It is read far more often than tasks are run."""
    assert imported(HELP, arguments, tmp_path) == set()


@pytest.mark.parametrize("arguments", USED)
def test_a_command_imports_what_it_uses_and_nothing_else(arguments: str, tmp_path: Path) -> None:
    """Most commands use one library of many, and each takes long; of the servers only the database is there, in memory."""
    assert imported(ON_ONE_TASK, arguments, tmp_path) == USED[arguments]


def test_help_names_every_command() -> None:
    """From the table, for none of them is imported."""
    result = CliRunner().invoke(main, ["--help"])
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_can_be_imported_under_its_name_and_explains_itself(name: str) -> None:
    """The table of commands is right, and none of their flags is without a word of help."""
    command = main.get_command(main.make_context("orchestrator", ["--help"], resilient_parsing=True), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.param_type_name == "option")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_ends_with_two_examples_that_it_understands(name: str) -> None:
    """Each on a line of its own, fit for copying, and of this command."""
    root = main.make_context("orchestrator", ["--no-env-file"], resilient_parsing=True)
    command = main.get_command(root, name)
    assert command is not None
    lines = example_lines(command)
    assert len(lines) == 2
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=60).stdout.splitlines()
    assert [line.strip() for line in shown[-2:]] == lines
    for line in lines:
        typed = re.search(r"orchestrator ([^|<>)]+)", line)
        assert typed is not None
        called, *arguments = shlex.split(typed[1])
        assert called == name
        command.make_context(name, arguments, parent=root).close()


@pytest.mark.parametrize("name", ["run", "submit"])
def test_the_flags_of_a_task_are_in_groups(name: str) -> None:
    """Each flag is in one of them, and only help is in none."""
    shown = CliRunner().invoke(main, [name, "--help"]).stdout
    heads = [line for line in shown.splitlines() if re.fullmatch("[A-Z][a-z]+:", line)]
    assert heads == ["Program:", "Limits:", "Input:", "Output:", "Identity:", "Options:"]
    assert shown.partition("\nOptions:\n")[2].partition("\n\n")[0].strip() == "-h, --help  Show this message and exit."


@pytest.mark.parametrize(
    ("arguments", "code"), [(("nonsense",), 2), (("show",), 2), (("list", "--status", "odd"), 2), (("run", "--odd"), 125)]
)
def test_a_mistake_gets_the_usage_and_no_traceback(arguments: tuple[str, ...], code: int) -> None:
    """2 as everywhere, but 125 where the exit code may be a program's."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("arguments", "code"), [(("list",), 2), (("worker",), 2), (("up",), 2), (("run", "busybox"), 125)])
def test_every_bad_setting_is_named_at_once(arguments: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no secret is repeated."""
    for name, value in {"CONCURRENCY": "none", "MINIO_USE_SSL": "perhaps", "DOCKER_HOST": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["DOCKER_HOST", "MINIO_USE_SSL", "CONCURRENCY"]
