"""How client commands find the servers that `up` started."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import SettingsError
from orchestrator.folder_lock import hold
from orchestrator.settings.environment import DATA, FILE, environment, published

WRITTEN = {
    "MONGO_URI": "mongodb://u:p@127.0.0.1:1/?a=b&c=d",
    "REDIS_URL": "redis://of-up",
    "MINIO_ENDPOINT": "of-up:9000",
    "MINIO_SECRET_KEY": "of-up",
    "QUEUE": "of-up",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `up` runs, as far as clients can tell."""
    with hold(tmp_path / DATA), published(tmp_path / DATA / FILE, WRITTEN):
        yield tmp_path


def test_variables_of_up_are_found_in_its_folder_and_below(folder: Path) -> None:
    """As git finds its repository."""
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    assert environment(folder, {}) == environment(below, {}) == WRITTEN


def test_a_variable_that_is_set_wins_and_an_empty_one_does_not(folder: Path) -> None:
    """Explicit is explicit."""
    found = environment(folder, {"REDIS_URL": "redis://mine", "QUEUE": "", "HOME": "/root"})
    assert found == {**WRITTEN, "REDIS_URL": "redis://mine", "HOME": "/root"}


def test_keys_are_for_the_storage_that_they_were_made_for(folder: Path) -> None:
    """Another endpoint gets neither the key nor any other secret."""
    found = environment(folder, {"MINIO_ENDPOINT": "mine:9000"})
    assert {name: value for name, value in found.items() if name.startswith("MINIO_")} == {"MINIO_ENDPOINT": "mine:9000"}


def test_the_file_is_for_its_owner_and_goes_with_up(tmp_path: Path) -> None:
    """It holds passwords, and says that servers run."""
    file = tmp_path / FILE
    file.touch(mode=0o644)
    with published(file, WRITTEN):
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


def test_without_up_the_environment_is_what_it_is(tmp_path: Path) -> None:
    """Empty variables count as unset."""
    assert environment(tmp_path, {"REDIS_URL": "redis://mine", "QUEUE": ""}) == {"REDIS_URL": "redis://mine"}


def test_what_a_killed_up_left_behind_is_said_and_not_used(tmp_path: Path) -> None:
    """Its servers died with it; somebody else may listen there now."""
    (tmp_path / DATA).mkdir()
    with published(tmp_path / DATA / FILE, WRITTEN):
        with pytest.raises(SettingsError, match=r"does not run in .* any more: start it again"):
            environment(tmp_path, {})
        elsewhere = {"MONGO_URI": "a", "REDIS_URL": "b", "MINIO_ENDPOINT": "c"}
        assert environment(tmp_path, elsewhere) == elsewhere


def test_a_file_that_others_could_have_written_is_not_used(folder: Path) -> None:
    """It would send tasks and their output to anybody it likes."""
    (folder / DATA / FILE).chmod(0o622)
    with pytest.raises(SettingsError, match="could have been written by another user"):
        environment(folder, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_used(folder: Path) -> None:
    """The owner of a folder above must not steer root's commands."""
    os.chown(folder / DATA / FILE, 12345, 12345)
    with pytest.raises(SettingsError, match="could have been written by another user"):
        environment(folder, {})
