"""What `up` hands on of its user's settings, to its worker and to clients: neither need run in the same folder."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.cli import up
from orchestrator.embedded import absent
from orchestrator.folder_lock import hold
from orchestrator.settings.environment import DATA, FILE, environment, merged, published
from orchestrator.settings.settings import Settings

STORAGE = {"MINIO_ENDPOINT": "127.0.0.1:1", "MINIO_ACCESS_KEY": "up", "MINIO_SECRET_KEY": "of-up"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current one, with files that have secrets."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"uri": "mongodb://mine", "key": "secret-key", "token": "of-another"}.items():
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


def handed_on(
    own: Mapping[str, str], servers: Mapping[str, str], served: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of the worker, and what clients are told."""
    variables = up._variables(DATA, own, servers, None)
    return merged(own, variables), merged(variables, served)


def test_a_server_that_a_file_names_is_not_started() -> None:
    """An empty variable names none."""
    assert "secantusdb" not in absent({"MONGO_URI_FILE": "uri"})
    assert "secantusdb" in absent({"MONGO_URI_FILE": ""})


def test_secrets_in_files_reach_the_worker_and_clients(folder: Path) -> None:
    """By the files' absolute paths, since neither need run in the current folder. A path that is a setting likewise."""
    own = {"MONGO_URI_FILE": "uri", "MINIO_ENDPOINT": "s3:9000", "MINIO_SECRET_KEY_FILE": "key"}
    own |= {"SPOOL_DIR": "spool", "API_TOKENS": "tokens", "HOME": "home"}
    worker, told = handed_on(own, {"REDIS_URL": "redis://of-up"}, {})
    with hold(DATA), published(DATA / FILE, told):
        client = dict(environment(folder, {}))
    for found in worker, client:
        assert found["MONGO_URI_FILE"] == str(folder / "uri")
        settings = Settings.load(found)
        assert (settings.mongo_uri, settings.minio_secret_key) == ("mongodb://mine", "secret-key")
        assert (settings.redis_url, settings.minio_endpoint) == ("redis://of-up", "s3:9000")
        assert (settings.spool_dir, settings.api_tokens) == (folder / "spool", str(folder / "tokens"))
    assert (worker["HOME"], "HOME" in client) == ("home", False)


def test_files_with_secrets_of_other_servers_are_left_out() -> None:
    """Those for a storage that `up` runs itself, and the token of another API: with both, nothing would start."""
    own = {"MINIO_SECRET_KEY_FILE": "key", "ORCHESTRATOR_TOKEN_FILE": "token", "MINIO_BUCKET": "mine"}
    worker, told = handed_on(own, STORAGE, {"ORCHESTRATOR_URL": "http://127.0.0.1:2", "ORCHESTRATOR_TOKEN": "of-up"})
    for found in worker, told:
        assert Settings.load(found).minio_secret_key == "of-up"
        assert Settings.load(found).minio_bucket == "mine"
    assert Settings.load(told).orchestrator_token == "of-up"
