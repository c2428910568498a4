"""The worker's image: built on a base made here, containers of it do a worker's job, and serve the API, as an ordinary user."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import httpx
import pytest
from docker.models.containers import Container

from orchestrator.client import Client
from orchestrator.embedded.ports import choose_ports
from orchestrator.ports import Stream
from orchestrator.server.page import FOLDER, is_built
from orchestrator.server.tokens import Scope, new_token
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from statemachine import TERMINAL, State
from tests.support import pace
from tests.support.servers import Corner
from tests.support.worker_image import build
from tests.support.worker_process import until

ONCE_A_SECOND = 10**9
BUS = Path("/run/dbus")
AS_COMPOSE = {
    "user": "0:0",
    "cap_drop": ["ALL"],
    "cap_add": ["DAC_OVERRIDE"],
    "security_opt": ["no-new-privileges:true"],
    "cgroupns": "host",
}
"""What compose.yaml gives the worker's container beside the socket and the bus."""
START = 60.0
"""Seconds that a worker may take to start and to run a short task on a busy machine."""


@pytest.fixture(scope="module")
def engine(settings_of_engine: Settings) -> Iterator[docker.DockerClient]:
    """The host's Docker engine."""
    with closing(docker.DockerClient(base_url=settings_of_engine.docker_host, timeout=600)) as client:
        yield client


@pytest.fixture(scope="module")
def settings_of_engine() -> Settings:
    """What the environment of the tests says about the engine."""
    return Settings.load({"DOCKER_HOST": os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"})


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The worker's image, built from this checkout."""
    return build(engine, tmp_path_factory.mktemp("context"))


@pytest.fixture(params=["ordinary user", "as compose"])
def worker(
    engine: docker.DockerClient, image: str, corner: Corner, settings_of_engine: Settings, request: pytest.FixtureRequest
) -> Iterator[Container]:
    """A container of the image, on the test's servers and the host's engine; removed after the test."""
    socket = Path(settings_of_engine.docker_host.removeprefix("unix://"))
    composed = request.param == "as compose"
    bus = {str(BUS): {"bind": str(BUS), "mode": "ro"}} if composed and BUS.is_dir() else {}
    container = engine.containers.run(
        image,
        detach=True,
        environment=dict(corner.environment),
        network_mode="host",
        volumes={str(socket): {"bind": "/var/run/docker.sock"}, **bus},
        **(AS_COMPOSE if composed else {"group_add": [socket.stat().st_gid]}),
        healthcheck={"interval": ONCE_A_SECOND, "timeout": round(pace.seconds(10 * ONCE_A_SECOND))},
    )
    yield container
    print(container.logs().decode())  # noqa: T201  # pytest shows it when the test failed
    container.remove(force=True, v=True)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A client on the test's servers."""
    with Client(connect(settings)) as client:
        yield client


def test_a_worker_in_a_container_runs_a_task(worker: Container, client: Client, request: pytest.FixtureRequest) -> None:
    """It claims a task, runs it beside itself on the host's engine, and stores the log; it is healthy and stops when told.

    Its figures are exact where it may read and stop slices of systemd; elsewhere it says why they are not.
    """
    task = client.submit({"image": "orchestrator-busybox:1", "command": ["sh", "-c", "echo from $(id -u)"]})
    until(lambda: client.get(task.id).status in TERMINAL, START)
    statuses = [event.status for event in client.watch(task.id)]
    assert statuses == [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]
    assert b"".join(client.logs(task.id, Stream.STDOUT)) == b"from 65534\n"

    composed = "as compose" in request.node.name
    metrics = client.get(task.id).metrics
    assert metrics
    if composed and (Path("/sys/fs/cgroup/cgroup.controllers").exists() and BUS.is_dir()):
        assert metrics.source["cpu_time_s"] == metrics.source["memory_peak_bytes"] == "cgroup v2"
    else:
        assert ("cpu_time_s" in metrics.missing) != ("cpu_time_s" in metrics.source)

    until(lambda: _health(worker) == "healthy", START)
    assert worker.exec_run(["id", "-u"]).output == (b"0\n" if composed else b"10001\n")
    worker.stop(timeout=round(pace.seconds(30)))
    assert worker.wait()["StatusCode"] == 0


def _health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


@pytest.fixture
def api(engine: docker.DockerClient, image: str, corner: Corner, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A container of the image with the profile `server` of compose.yaml: its address, and a token; removed after the test."""
    (port,) = choose_ports(1)
    token, line = new_token("reader", Scope.READ)
    (tmp_path / "api-tokens").write_text(f"{line}\n")
    (tmp_path / "api-tokens").chmod(0o644)
    container = engine.containers.run(
        image,
        ["serve"],
        detach=True,
        environment={**corner.environment, "API_PORT": str(port), "API_TOKENS": "/run/secrets/api-tokens"},
        network_mode="host",
        volumes={str(tmp_path / "api-tokens"): {"bind": "/run/secrets/api-tokens", "mode": "ro"}},
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
    )
    yield f"http://127.0.0.1:{port}", token
    print(container.logs().decode())  # noqa: T201  # pytest shows it when the test failed
    container.remove(force=True, v=True)


def test_the_same_image_serves_the_api_and_the_page_that_was_built(api: tuple[str, str]) -> None:
    """As an ordinary user who may write nothing; the page is in it exactly if this checkout has it."""
    url, token = api
    until(lambda: _is_ready(url), START)
    assert httpx.get(f"{url}/v1/tasks").status_code == 401
    assert httpx.get(f"{url}/v1/tasks", headers={"Authorization": f"Bearer {token}"}).json()["tasks"] == []
    assert ("not built" in httpx.get(url).text) is not is_built(FOLDER)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
