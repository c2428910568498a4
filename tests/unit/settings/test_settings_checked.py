"""What each library says of its settings is said at start, in a sentence that names the setting and shows no secret."""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.cli import main, worker
from orchestrator.errors import InfrastructureError, SettingsError
from orchestrator.settings.settings import Settings, options, variable
from orchestrator.wiring import check, connect
from orchestrator.worker.health import Health, Page
from tests.support import junk

NAMES = [variable(option) for option in options()]
SECRETS = [variable(option) for option in options() if option.secret]
MARK = "hunter2"
FORMS = st.sampled_from(
    ["{}", "mongodb://{}", "mongodb://u:{}@h/?{}", "redis://{}", "redis://:{}@h", "redis://h?{}", "unix://{}", "tcp://{}", "http://h:1{}",
     "{}:1", "h:{}", "[{}]", "{}s", "1{}"]
)  # fmt: skip
JUNK = st.builds(lambda form, text: form.replace("{}", text), FORMS, junk.text | junk.near)


def complaints(environment: dict[str, str]) -> list[str]:
    """What is said when a process begins with this environment."""
    try:
        check(Settings.load(environment))
    except SettingsError as error:
        return str(error).splitlines()
    return []


@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), JUNK)
def test_junk_in_any_setting_is_taken_or_named(name: str, value: str) -> None:
    """Nothing but SettingsError comes out of the start, and of the library when it makes its client; one line, one name."""
    said = complaints({name: value})
    limits = {f"DEFAULT_{word}" for word in ("MEMORY", "PIDS", "CPUS", "TIMEOUT", "OUTPUT", "TMP", "ARTIFACTS", "USER")}
    assert all(line.partition(":")[0] in {name, *limits} for line in said)
    if not said:
        connect(Settings.load({name: value}))


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([*SECRETS, "DOCKER_HOST"]), st.lists(st.sampled_from("@:/?#%&=; \n\xe9"), max_size=6), FORMS)
def test_no_piece_of_a_secret_is_said(name: str, signs: list[str], form: str) -> None:
    """However it is misspelt."""
    for said in complaints({name: form.replace("{}", f"u:{MARK}{''.join(signs)}{MARK}@h")}):
        assert MARK not in said


def auth(text: bytes) -> dict[str, object]:
    """A configuration of Docker with this as credentials."""
    return {"auths": {"registry.example": {"auth": base64.b64encode(text).decode()}}}


@pytest.mark.parametrize(
    "config",
    [
        [],
        ["a"],
        "text",
        5,
        auth(b"no colon"),
        auth(b"\xff:\xff"),
        {"auths": {"r": {"auth": "hunter2!"}}},
        {"auths": {"r": {"auth": 5}}},
        {"auths": {"r": {"auth": "ü"}}},
        {"auths": {"r": []}},
        {"auths": ["r"]},
        {"proxies": [1]},
        {"credsStore": 5},
        {"credHelpers": ["a"]},
        {"credHelpers": {"r": 1}},
    ],
    ids=str,
)
def test_a_configuration_of_docker_that_cannot_be_used_is_named(
    config: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every call to the engine would raise what nobody expects."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = complaints({})
    assert len(said) == 1
    assert said[0].startswith(f"DOCKER_CONFIG: {tmp_path / 'config.json'} cannot be used: its `")
    assert MARK not in said[0]


@pytest.mark.parametrize(
    "config", [{}, auth(b"u:p:w"), {"auths": {}}, {"credsStore": "desktop", "credHelpers": {"r": "ecr"}}], ids=str
)
def test_a_configuration_of_docker_that_is_sound_is_used(
    config: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is a helper of this name is found out at a pull."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert complaints({}) == []


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"auths": {"r": {"auth": "a"}}}'])
def test_a_configuration_that_goes_bad_later_is_an_error_of_the_service(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the worker waits for it as for an engine that is away."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InfrastructureError, match="docker: the configuration of Docker cannot be used"):
        DockerEngine("unix:///nowhere").host()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MINIO_ACCESS_KEY", "hunter2\n", "MINIO_ACCESS_KEY: the given value is not a word of printable ASCII"),
        ("MINIO_SECRET_KEY", "hunter2\n", "MINIO_SECRET_KEY: the given value is not text in UTF-8 without control characters"),
        ("DOCKER_HOST", "tcp://h:abc", "DOCKER_HOST: 'tcp://h:abc' is not a URL such as tcp://host:2376"),
        ("DOCKER_HOST", "tcp://h", "DOCKER_HOST: 'tcp://h' is not a URL such as tcp://host:2376"),
        ("MONGO_URI", "mongodb://h/?tls=true&tlsCAFile=/none", "MONGO_URI: a file that the given value names cannot be read"),
        (
            "REDIS_URL",
            "rediss://h?ssl_ca_certs=/none",
            "REDIS_URL: the file that ssl_ca_certs names in the given value cannot be read",
        ),
        ("QUEUE", "a\udcff", "QUEUE: 'a\\udcff' is not text in UTF-8 without control characters"),
        ("MONGO_DB_NAME", "ü" * 63, "MONGO_DB_NAME: "),
        ("DRAIN_TIMEOUT", "1000000000", "DRAIN_TIMEOUT: '1000000000' is not a time such as 30s"),
        ("HEALTH_HOST", "a b", "HEALTH_HOST: 'a b' is not an address or a host name"),
        ("RUNTIME", "a\nb", "RUNTIME: 'a\\nb' is not the name of a runtime of the engine such as runsc"),
        ("MINIO_ENDPOINT", "h:99999", "MINIO_ENDPOINT: 'h:99999' is not host:port, without a scheme or path"),
        ("HEALTH_PORT", "9" * 5000, "HEALTH_PORT: "),
    ],
)
def test_a_value_that_a_library_would_trip_over_is_named(name: str, value: str, sentence: str) -> None:
    """At start."""
    (said,) = complaints({name: value})
    assert said.startswith(sentence)


def test_a_port_for_probes_that_is_taken_is_named() -> None:
    """Before the worker takes a task."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        where = f"HEALTH_HOST, HEALTH_PORT: no probe can be answered on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(SettingsError, match=where):
            worker._answer_probes(
                Settings(health_port=port),
                lambda: Health(alive=True, draining=False, tasks=0),
                lambda: Page(200, "text/plain", b""),
            )


def test_doctor_says_what_a_library_refuses() -> None:
    """As it says what is malformed, with what to do."""
    said = CliRunner().invoke(main, ["doctor"], env={"DOCKER_HOST": "tcp://h:abc"}, catch_exceptions=False)
    assert said.exit_code == 1
    assert "DOCKER_HOST: 'tcp://h:abc' is not a URL such as tcp://host:2376" in said.output


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, without servers to connect to."""
    servers = {"MONGO_URI": "mongodb://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1", "MINIO_ENDPOINT": "127.0.0.1:1"}
    argv = [sys.executable, "-m", "orchestrator", *arguments]
    environment = {**os.environ, **servers, "RETRY_BUDGET": "1", **variables}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["worker", "up", "health", "list", "sweep"])
def test_a_command_ends_with_2_and_one_sentence(command: str) -> None:
    """Whichever reads the settings."""
    ended = run(command, REDIS_URL="redis://:hunter2@h?decode_responses=true", MINIO_ACCESS_KEY="hunter2\n")
    assert (ended.returncode, ended.stdout) == (2, "")
    names = [line.split(": ")[1] for line in ended.stderr.splitlines()]
    assert (sorted(names), MARK in ended.stderr) == (["MINIO_ACCESS_KEY", "REDIS_URL"], False)


NO_ENGINE = {"DOCKER_HOST": "tcp://h:abc", "MONGO_URI": "mongodb://127.0.0.1:1/?timeoutMS=100"}


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["show", "x"], ["logs", "x"], ["artifacts", "x"], ["submit", "busybox"], ["health"]],
    ids=lambda words: words[0],
)
def test_a_command_that_uses_no_engine_asks_nothing_of_its_settings(arguments: list[str]) -> None:
    """It runs where people work, whose configuration of Docker may be odd; here it ends at the database, which is away."""
    ended = run(*arguments, **NO_ENGINE)
    assert (ended.returncode != 2, "DOCKER" in ended.stderr) == (True, False), ended.stderr
    assert "127.0.0.1:1" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [("cancel x", 2), ("sweep", 2), ("run busybox", 125), ("deployment", 2)], ids=str
)
def test_a_command_that_may_use_the_engine_names_a_bad_setting_of_it(arguments: str, code: int) -> None:
    """Before it begins: a cancel removes the container, also one that ends a run."""
    ended = run(*arguments.split(), **NO_ENGINE)
    assert (ended.returncode, ended.stderr.count("\n")) == (code, 1), ended.stderr
    assert ended.stderr.startswith("Error: DOCKER_HOST: 'tcp://h:abc' is not a URL such as tcp://host:2376")


def test_a_worker_with_a_bad_configuration_of_docker_does_not_start(tmp_path: Path) -> None:
    """It would run nothing and complain of its own faults for ever."""
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r": {"auth": "a"}}}))
    ended = run("worker", DOCKER_CONFIG=str(tmp_path))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"Error: DOCKER_CONFIG: {tmp_path}/config.json cannot be used: ")
