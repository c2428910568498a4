"""The command line before any command does something: help, versions, mistakes, settings."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from orchestrator.cli import COMMANDS, main

HEAVY = ("docker", "pymongo", "redis", "minio", "rq", "rich", "loguru", "cattrs")


def test_help_answers_without_importing_what_commands_need() -> None:
    """It is read far more often than tasks are run; each of those costs a tenth of a second or more."""
    code = "import sys; from orchestrator.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert not set(HEAVY) & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_can_be_imported_under_its_name_and_explains_itself(name: str) -> None:
    """The table of commands is right, and none of their flags is without a word of help."""
    command = main.get_command(main.make_context("orchestrator", ["--help"], resilient_parsing=True), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.param_type_name == "option")


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
