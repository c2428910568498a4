"""How the settings reach other programs, and that output which cannot be written is told in a sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.folder_lock import hold
from orchestrator.settings.environment import DATA, FILE, published

ODD = "a b'c\"d$e`f\\g!*"
WRITTEN = {"MONGO_URI": "mongodb://of-up/?a=b&c=d", "REDIS_URL": "redis://of-up", "SPOOL_DIR": f"/srv/{ODD}", "QUEUE": "q"}
ORCHESTRATOR = (sys.executable, "-m", "orchestrator")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a blank in its name, in which `up` runs, as far as clients can tell."""
    place = tmp_path / "with a blank"
    with hold(place / DATA), published(place / DATA / FILE, WRITTEN):
        yield place


def clean(**variables: str) -> dict[str, str]:
    """The environment of this process without the settings that are tried."""
    kept = {name: value for name, value in os.environ.items() if name not in WRITTEN}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[3]), **variables}


def ran(*argv: str, folder: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A program that was run in a folder."""
    return subprocess.run(argv, cwd=folder, env=env or clean(), capture_output=True, text=True, check=False)


def test_a_shell_evaluates_what_env_prints(folder: Path) -> None:
    """Byte for byte, with blanks, quotes and signs of the shell."""
    script = 'eval "$("$0" -m orchestrator env)"; printf "%s|%s|%s" "$MONGO_URI" "$SPOOL_DIR" "$(printenv QUEUE)"'
    said = ran("sh", "-c", script, sys.executable, folder=folder)
    assert (said.stdout, said.stderr) == (f"{WRITTEN['MONGO_URI']}|{WRITTEN['SPOOL_DIR']}|q", "")


def test_fish_gets_its_own_quotes(folder: Path) -> None:
    """In fish a backslash in single quotes stands before a quote or another one."""
    said = ran(*ORCHESTRATOR, "env", "--shell", "fish", folder=folder)
    assert "set -gx SPOOL_DIR '/srv/a b\\'c\"d$e`f\\\\g!*'\n" in said.stdout
    assert said.stdout.count("\n") == len(WRITTEN)


def test_programs_get_json(folder: Path) -> None:
    """Of settings alone, those that are set here first."""
    said = ran(*ORCHESTRATOR, "env", "--json", folder=folder, env=clean(QUEUE="mine", OTHER="x"))
    assert json.loads(said.stdout) == {**WRITTEN, "QUEUE": "mine"}


def test_a_program_is_run_with_the_settings(folder: Path, tmp_path: Path) -> None:
    """With its own arguments and exit code; from elsewhere, by the folder of `up`."""
    code = "import os, sys; print(os.environ['SPOOL_DIR'], sys.argv[1:]); sys.exit(7)"
    for place, data in ((folder, ()), (tmp_path, ("--data", str(folder / DATA)))):
        said = ran(*ORCHESTRATOR, "exec", *data, "--", sys.executable, "-c", code, "--data", "x y", folder=place)
        assert (said.stdout, said.returncode, said.stderr) == (f"{WRITTEN['SPOOL_DIR']} ['--data', 'x y']\n", 7, "")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["exec", "--", "no-such-program"], 127, "Error: 'no-such-program' cannot be run: No such file or directory\n"),
        (["exec", "--", "/"], 126, "Error: '/' cannot be run: Permission denied\n"),
        (["env"], 2, "Error: no setting is set, and no `orchestrator up` runs in this folder or above it\n"),
        (
            ["env", "--data", "."],
            2,
            "Error: env cannot be read: No such file or directory; does `orchestrator up` run there?\n",
        ),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    """With the exit code that env(1) has for a program."""
    settings = [name for name in os.environ if name.endswith(("_URI", "_URL", "_ENDPOINT", "_KEY", "_HOST"))]
    environment = {name: value for name, value in clean().items() if name not in settings}
    said = ran(*ORCHESTRATOR, *arguments, folder=tmp_path, env=environment)
    assert (said.returncode, said.stderr) == (code, sentence)


def test_a_value_of_two_lines_stays_one_setting(tmp_path: Path) -> None:
    """A list may have come from several lines of YAML; its second line is no variable."""
    with hold(tmp_path / DATA), published(tmp_path / DATA / FILE, {"IMAGES_ALLOWED": "busybox\nMONGO_URI=x"}):
        said = CliRunner().invoke(main, ["env", "--json", "--data", str(tmp_path / DATA)], catch_exceptions=False)
        assert json.loads(said.stdout)["IMAGES_ALLOWED"] == "busybox MONGO_URI=x"


@pytest.mark.parametrize("data", [b"\xff=1\n", b"A B=1\n"])
def test_a_file_that_up_did_not_write_is_refused_in_a_sentence(folder: Path, data: bytes) -> None:
    """Whatever is in it."""
    (folder / DATA / FILE).write_bytes(data)
    said = ran(*ORCHESTRATOR, "env", folder=folder)
    assert (said.returncode, said.stderr.count("\n"), said.stdout) == (2, 1, "")
    assert "is not what `orchestrator up` wrote: line 1 " in said.stderr


def test_a_current_folder_that_was_removed_is_no_folder_of_up(tmp_path: Path) -> None:
    """Explicit settings are enough then."""
    script = 'rmdir "$1"; exec "$0" -m orchestrator exec -- printenv QUEUE'
    gone = tmp_path / "gone"
    gone.mkdir()
    said = ran("sh", "-c", script, sys.executable, str(gone), folder=gone, env=clean(QUEUE="mine"))
    assert (said.stdout, said.stderr, said.returncode) == ("mine\n", "", 0)


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["exec", "--help"], ["--version"]])
def test_a_full_stdout_is_told_in_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    """With exit code 1 and no traceback, also when the interpreter ends."""
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run(
            [*ORCHESTRATOR, *arguments], cwd=tmp_path, env=clean(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (said.returncode, said.stderr) == (1, "Error: the output cannot be written: No space left on device\n")


def test_a_reader_that_goes_away_needs_no_words(tmp_path: Path) -> None:
    """As with `| head`."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        said = subprocess.run(
            [*ORCHESTRATOR, "--help"], cwd=tmp_path, env=clean(), stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (said.returncode, said.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["env"], ["env", "--json"], ["run", "--help"]])
def test_an_output_that_knows_ascii_alone_is_enough(arguments: list[str], tmp_path: Path) -> None:
    """What it cannot say is escaped."""
    said = ran(*ORCHESTRATOR, *arguments, folder=tmp_path, env=clean(QUEUE="grüße…", PYTHONIOENCODING="ascii:strict"))
    assert (said.returncode, said.stderr) == (0, "")
