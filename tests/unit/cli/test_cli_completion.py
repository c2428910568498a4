"""`completion`: the script, and what the program answers when the script asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import COMMANDS, main
from tests.unit.cli.test_cli_start import HEAVY

ASKED = """
import sys
from orchestrator.cli import main
try:
    main(prog_name="orchestrator")
finally:
    print("", *sys.modules)
"""


def answered(words: str, at: int, folder: Path) -> tuple[set[str], set[str]]:
    """What bash is told may stand at this place, and which slow modules that took."""
    asks = {"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    argv = [sys.executable, "-c", ASKED]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **asks})
    *lines, modules = done.stdout.splitlines()
    return {line.partition(",")[2] for line in lines}, HEAVY & {*modules.split()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells_own(shell: str, tmp_path: Path) -> None:
    """The shell reads it without a complaint, where it is there to ask."""
    told = CliRunner().invoke(main, ["completion", shell], catch_exceptions=False)
    assert told.exit_code == 0
    assert f"_ORCHESTRATOR_COMPLETE={shell}_complete" in told.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(told.stdout)
        subprocess.run([shell, "-n", "script"], check=True, cwd=tmp_path)


def test_another_shell_is_refused() -> None:
    """With those that there are."""
    told = CliRunner().invoke(main, ["completion", "tcsh"])
    assert (told.exit_code, "'bash', 'zsh', 'fish'" in told.stderr) == (2, True)


def test_commands_are_completed_without_importing_one(tmp_path: Path) -> None:
    """A shell waits at each TAB."""
    assert answered("orchestrator ", 1, tmp_path) == (set(COMMANDS), set())
    assert answered("orchestrator s", 1, tmp_path) == ({"submit", "show", "sweep", "serve", "stats"}, set())


def test_flags_and_their_values_are_completed(tmp_path: Path) -> None:
    """Of one command, so that this alone is imported."""
    assert {"--memory", "--timeout"} <= answered("orchestrator run --", 2, tmp_path)[0]
    found, _ = answered("orchestrator list --output js", 3, tmp_path)
    assert found == {"json", "jsonl"}
