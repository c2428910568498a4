"""Secrets may be in files, as orchestrators of containers mount them."""

from pathlib import Path

import pytest

from orchestrator.errors import SettingsError
from orchestrator.settings.environment import environment
from orchestrator.settings.settings import Settings


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    """Its first line, without the line's end, is what the variable would say."""
    (tmp_path / "key").write_text("p@ss word\n")
    settings = Settings.load({"MINIO_SECRET_KEY_FILE": str(tmp_path / "key"), "MINIO_ACCESS_KEY": "me"})
    assert (settings.minio_secret_key, settings.minio_access_key) == ("p@ss word", "me")
    assert "p@ss word" in settings.secrets


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (None, {}, "MONGO_URI_FILE: {path} cannot be read: No such file or directory"),
        (b"\xff", {}, "MONGO_URI_FILE: {path} cannot be read: it is not UTF-8 text"),
        (b"mongodb://h", {"MONGO_URI": "mongodb://g"}, "MONGO_URI, MONGO_URI_FILE: both are set; set one of them"),
        (b"ftp://secret", {}, "MONGO_URI: the given value is not "),
    ],
    ids=["no file", "no text", "both", "a bad value"],
)
def test_what_cannot_be_taken_is_told_in_a_sentence(
    tmp_path: Path, content: bytes | None, more: dict[str, str], words: str
) -> None:
    """It names the variable and the file, and never what is in it."""
    path = tmp_path / "uri"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as told:
        Settings.load({"MONGO_URI_FILE": str(path), **more})
    assert str(told.value).startswith(words.format(path=path))
    assert "secret" not in str(told.value)


def test_only_secrets_are_looked_for_in_files(tmp_path: Path) -> None:
    """Another program may mean something else by such a name."""
    (tmp_path / "queue").write_text("other")
    assert Settings.load({"QUEUE_FILE": str(tmp_path / "queue")}).queue == "default"


def test_a_file_stands_for_its_variable_beside_up(tmp_path: Path) -> None:
    """What `up` wrote for the variable is not taken then."""
    given = {"MONGO_URI_FILE": "/run/secrets/mongo", "REDIS_URL": "redis://r", "MINIO_ENDPOINT": "s3:9000"}
    assert environment(tmp_path, given) == given


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Files that cannot be read beside values that are bad."""
    missing = {name: str(tmp_path / name) for name in ("MONGO_URI_FILE", "REDIS_URL_FILE")}
    with pytest.raises(SettingsError) as told:
        Settings.load({**missing, "CONCURRENCY": "none"})
    assert [line.partition(":")[0] for line in str(told.value).splitlines()] == [*missing, "CONCURRENCY"]
