"""The file `.env` in the current folder: settings for those who export none."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.folder_lock import hold
from orchestrator.settings.environment import DATA, FILE, published

SERVER = "mongodb://of-the-file/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no setting in the environment."""
    for name in [name for name in os.environ if name.startswith(("MONGO_", "REDIS_", "MINIO_", "QUEUE", "SPOOL_DIR"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    """What a command says."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def settings(*options: str) -> dict[str, str]:
    """The settings that commands have."""
    found: dict[str, str] = json.loads(call(*options, "env", "--json").stdout)
    return found


def test_env_example_can_be_copied_and_changed(folder: Path) -> None:
    """With one # taken away, that setting alone is set."""
    example = (Path(__file__).parents[3] / ".env.example").read_text()
    (folder / ".env").write_text(example.replace("#QUEUE=default", "QUEUE=mine"))
    assert settings() == {"QUEUE": "mine"}


def test_a_variable_of_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it names the file with the secret; an empty one counts as unset."""
    (folder / ".env").write_text(f"MONGO_URI={SERVER}\nQUEUE=of-the-file\nREDIS_URL=redis://of-the-file\nUNKNOWN=x\n")
    monkeypatch.setenv("QUEUE", "mine")
    monkeypatch.setenv("REDIS_URL", "")
    assert settings() == {"MONGO_URI": SERVER, "QUEUE": "mine", "REDIS_URL": "redis://of-the-file"}
    (folder / "secret").write_text("mongodb://of-the-secret/")
    monkeypatch.setenv("MONGO_URI_FILE", str(folder / "secret"))
    assert "MONGO_URI" not in settings()


def test_the_file_can_be_left_out(folder: Path) -> None:
    """By an option before the command."""
    (folder / ".env").write_text("QUEUE=of-the-file\n")
    told = call("--no-env-file", "env")
    assert (told.exit_code, told.stdout) == (2, "")


def test_what_up_has_written_comes_after_the_file(folder: Path) -> None:
    """But keys belong to the storage that they were made for."""
    (folder / ".env").write_text("QUEUE=of-the-file\nMINIO_SECRET_KEY=of-compose\n")
    written = {"MONGO_URI": SERVER, "QUEUE": "of-up", "MINIO_ENDPOINT": "of-up:1", "MINIO_SECRET_KEY": "of-up"}
    with hold(folder / DATA), published(folder / DATA / FILE, written):
        assert settings() == {**written, "QUEUE": "of-the-file"}


def test_a_folder_of_this_name_is_no_file(folder: Path) -> None:
    """Some have their virtual environment there."""
    (folder / ".env").mkdir()
    assert "no setting is set" in call("env").stderr


@pytest.mark.parametrize(
    ("written", "arguments", "sentence"),
    [
        ("A=1\nexport B=2\n", ["list"], "Error: .env: line 2 has a blank in the name"),
        ("A=1\n\nLEASE_TTL=soon\n", ["list"], "Error: .env, line 3: LEASE_TTL: 'soon' is not "),
        ("A=1\nMONGO_URI=nowhere\n", ["doctor"], ".env, line 2: MONGO_URI: the given value is not "),
        ("DOCKER_HOST=nowhere\n", ["up"], "Error: .env, line 1: DOCKER_HOST: 'nowhere' is not "),
        ("REDIS_URL=redis://h/?no=1\n", ["worker"], "Error: .env, line 1: REDIS_URL: "),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(folder: Path, written: str, arguments: list[str], sentence: str) -> None:
    """In a sentence, without the value of a secret."""
    (folder / ".env").write_text(written)
    told = call(*arguments)
    assert told.exit_code == (1 if arguments == ["doctor"] else 2)
    assert sentence in told.output
    assert told.stderr.count("\n") == (arguments != ["doctor"])


def test_a_bad_variable_is_no_fault_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both set it."""
    (folder / ".env").write_text("LEASE_TTL=10\n")
    monkeypatch.setenv("LEASE_TTL", "soon")
    assert call("list").stderr.startswith("Error: LEASE_TTL: 'soon' is not ")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_another_user_could_have_written_is_refused(folder: Path, mode: int) -> None:
    """It says which servers get passwords, and which engine runs programs."""
    (folder / ".env").write_text("QUEUE=x\n")
    (folder / ".env").chmod(mode)
    told = call("env")
    assert told.exit_code == 2
    assert told.stderr.startswith("Error: .env could have been written by another user: ")
