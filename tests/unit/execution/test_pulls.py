"""What a task may make the engine ask for: bounded pulls, from registries that may be asked, and little is told of answers."""

import json
import socket
import tempfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.images import Images
from orchestrator.adapters.docker.registry import PullRules, registry, told
from orchestrator.cause import Cause
from orchestrator.errors import ImageUnavailable, InfrastructureError
from orchestrator.execution.steps import start
from orchestrator.ports import PullPolicy
from orchestrator.settings.settings import Settings
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import Program
from orchestrator.wiring import connect
from statemachine import State
from tests.support.world import World
from tests.unit.adapters.docker.engine_stub import Answer, StubEngine, hangs_up, refuses, says, streams

PULL = "POST /images/create"
SECRET = "hunter2 of the internal service"
OURS = PullRules(registries=())


@pytest.fixture(autouse=True)
def _resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and what they resolve to; literal addresses are what they are."""
    names = {"registry.example": "203.0.113.7", "inside.example": "10.0.0.7", "rebound.example": "169.254.169.254"}
    genuine = socket.getaddrinfo

    def resolve(host: str, *rest: object, **more: object) -> object:
        if host.endswith(".example") and host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return genuine(names.get(host, host), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def progress(*events: dict[str, object]) -> bytes:
    """Lines of a pull."""
    return b"".join(json.dumps(event).encode() + b"\r\n" for event in events)


DONE = streams(progress({"status": "done"}))


def fails(message: str) -> Answer:
    """A pull that ends with an error under the status 200."""
    return streams(progress({"error": message}))


def pull(folder: Path, image: str, answer: Answer, rules: PullRules = OURS) -> list[str]:
    """Pull; the calls that the engine got."""
    own = Path(tempfile.mkdtemp(dir=folder))
    with StubEngine(own, {PULL: answer}) as stub, closing(DockerClient(stub.url, 5.0)) as client:
        Images(client, 5.0, rules).ensure(image, PullPolicy.ALWAYS)
        return list(stub.calls)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("localhost/a", "a loopback address"),
        ("LOCALHOST/a", "a loopback address"),
        ("127.0.0.1:5000/a:1", "a loopback address"),
        ("127.1:80/a", "a loopback address"),
        ("0.0.0.0:5000/a", "a loopback address"),
        ("[::1]:5000/a", "a loopback address"),
        ("[::ffff:127.0.0.1]:5000/a", "a loopback address"),
        ("169.254.169.254/latest/meta-data", "an address of a metadata service"),
        ("100.100.100.200/a", "an address of a metadata service"),
        ("[fd00:ec2::254]:80/a", "an address of a metadata service"),
        ("169.254.10.1/a", "a link-local address"),
        ("[fe80::1]:80/a", "a link-local address"),
        ("rebound.example/a", "an address of a metadata service"),
    ],
)
def test_a_registry_on_the_engines_own_machine_is_not_asked(tmp_path: Path, image: str, why: str) -> None:
    """Nor one of the cloud, unless a setting allows it: the engine is not asked to pull."""
    with StubEngine(tmp_path, {PULL: DONE}) as stub, closing(DockerClient(stub.url, 5.0)) as client:
        with pytest.raises(ImageUnavailable, match=f"{why}; REGISTRIES_ALLOWED may allow it"):
            Images(client, 5.0, OURS).ensure(image, PullPolicy.ALWAYS)
        assert not [call for call in stub.calls if call == PULL]
        pattern = registry(image).replace("[", "[[]")
        Images(client, 5.0, PullRules(registries=[pattern])).ensure(image, PullPolicy.ALWAYS)
        assert PULL in stub.calls


@pytest.mark.parametrize("image", ["app", "team/app:1", "registry.example/app", "inside.example:5000/app", "no.example/app"])
def test_any_other_registry_is_asked(tmp_path: Path, image: str) -> None:
    """One of the own network, too; what this host cannot resolve is the engine's to find out."""
    assert PULL in pull(tmp_path, image, DONE)


@pytest.mark.parametrize("image", ["app", "team/app", "docker.io/app", "a.example:5000/app"])
def test_registries_can_be_listed(tmp_path: Path, image: str) -> None:
    """Then no other is asked."""
    rules = PullRules(registries=["docker.io", "*.example:5000"])
    assert PULL in pull(tmp_path, image, DONE, rules)
    with pytest.raises(ImageUnavailable, match=r"its registry a\.example is not one of REGISTRIES_ALLOWED"):
        pull(tmp_path, "a.example/app", DONE, rules)


def test_a_registry_with_an_address_of_version_6_can_be_listed(tmp_path: Path) -> None:
    """Its brackets stand for themselves."""
    rules = PullRules(registries=["[2001:DB8::1]:5000"])
    assert PULL in pull(tmp_path, "[2001:db8::1]:5000/team/app:1", DONE, rules)
    with pytest.raises(ImageUnavailable, match="is not one of REGISTRIES_ALLOWED"):
        pull(tmp_path, "[2001:db8::2]:5000/app", DONE, rules)


@pytest.mark.filterwarnings("ignore:docker-credential-absent")
@pytest.mark.parametrize("config", [{"credsStore": "absent"}, {"credHelpers": {"registry.example": "absent"}}])
def test_a_helper_for_passwords_that_is_not_there_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object]
) -> None:
    """Asking again would not install it; the message says where it is named."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ImageUnavailable, match=r"configuration names docker-credential-absent .* not installed"):
        pull(tmp_path, "registry.example/app", DONE)


@pytest.mark.parametrize(
    "answer",
    [
        fails(f'error parsing HTTP 404 response body: invalid character: "{SECRET}"'),
        fails(f"received unexpected HTTP status: 200 {SECRET}"),
        refuses(500, f'Get "http://inside/v2/": {SECRET}'),
        refuses(404, f"{SECRET} not found"),
        refuses(500, f"unauthorized: {SECRET}"),
    ],
)
def test_nothing_of_what_a_service_answers_is_told(tmp_path: Path, answer: Answer) -> None:
    """An image names the service, so its answer would be the task's to read."""
    with pytest.raises((ImageUnavailable, InfrastructureError), match="image 'app' cannot be pulled: ") as raised:
        pull(tmp_path, "app", answer)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("manifest for app:1 not found: manifest unknown: manifest unknown", "the registry has no such image"),
        ("received unexpected HTTP status: 503 Service Unavailable", "the registry does not answer as one should (HTTP 503)"),
        ('Get "https://r/v2/": dial tcp: lookup r: no such host', "the registry's name cannot be resolved"),
        ("toomanyrequests: You have reached your pull rate limit", "the registry takes no more requests for now"),
        ("write /var/lib/docker/tmp/x: no space left on device", "the engine's disk is full"),
        ("something new", "the pull failed"),
    ],
)
def test_a_sentence_and_a_status_are_told(said: str, sentence: str) -> None:
    """Enough to know whom to ask."""
    assert told(said) == sentence


def test_trouble_on_the_way_to_the_engine_is_not_the_registrys(tmp_path: Path) -> None:
    """And is told as it is."""
    with pytest.raises(InfrastructureError) as raised:
        pull(tmp_path, "app", hangs_up)
    assert "registry" not in str(raised.value)


@pytest.mark.parametrize("image", ["-host.example/app", "host.io-/app", "registry.example/App"])
@pytest.mark.parametrize("policy", [PullPolicy.MISSING, PullPolicy.ALWAYS])
def test_a_name_that_cannot_be_an_images_fails_at_once(tmp_path: Path, image: str, policy: PullPolicy) -> None:
    """By the engine's word or the library's; asking again would not help."""
    bad = refuses(400, "invalid reference format: repository name must be lowercase")
    script = {PULL: bad, f"GET /images/{image}/json": bad}
    with (
        StubEngine(tmp_path, script) as stub,
        closing(DockerClient(stub.url, 5.0)) as client,
        pytest.raises(ImageUnavailable, match="name of an image"),
    ):
        Images(client, 5.0, OURS).ensure(image, policy)


def test_the_bytes_of_layers_are_bounded(tmp_path: Path) -> None:
    """All of them together, as soon as their sizes are known; each counts once."""
    lines = [
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 60}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 60, "total": 60}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 1, "total": 40}},
    ]
    pull(tmp_path, "app", streams(progress(*lines)), PullRules(most=100))
    with pytest.raises(ImageUnavailable, match="image 'app' cannot be pulled: its layers have more than 99 bytes"):
        pull(tmp_path, "app", streams(progress(*lines)), PullRules(most=99))


class Dripping(MemoryEngine):
    """A registry that sends a little now and then, by a clock of its own; a pull is cut by silence after a minute."""

    def __init__(self, *args: object, clock: list[float], silent: bool, **more: object) -> None:
        super().__init__(*args, **more)
        self.clock, self.silent, self.pulls = clock, silent, 0

    def pull(self, image: str, policy: PullPolicy, go_on=lambda: None) -> None:  # noqa: ANN001, ARG002
        """Never ends by itself."""
        self.pulls += 1
        if self.silent:
            self.clock[0] += 60
            raise InfrastructureError("docker", "Read timed out.")
        while self.clock[0] < 10_000:
            self.clock[0] += 25
            go_on()


@pytest.mark.parametrize("silent", [False, True])
def test_a_pull_that_does_not_end_ends_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, silent: bool) -> None:
    """After a time of its own, all tries together, with the cause image: its slot is free for others again."""
    clock = [1000.0]
    monkeypatch.setattr(start, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    world = World(tmp_path, {("program",): Program()}, engine=Dripping, clock=clock, silent=silent)
    world.settings = evolve(world.settings, retry_budget=1e9)
    world.client.submit({"image": "drip.example/app", "command": ["program"]}, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.cause) == (State.FAILED, Cause.IMAGE)
    assert task.message.startswith("image 'drip.example/app' cannot be pulled: it was not there after 300 s")
    assert (clock[0] - 1000, world.engine.pulls) == (300, 5 if silent else 1)


def test_the_settings_reach_the_engine() -> None:
    """Without them, no registry of the own machine is asked."""
    for settings, rules in (
        (Settings(), PullRules(300.0, 10 << 30, ())),
        (Settings(pull_timeout=9.0, pull_max=1, registries_allowed=("a",)), PullRules(9.0, 1, ("a",))),
    ):
        assert connect(settings).engine._images._rules == rules


def test_an_image_that_is_there_needs_no_registry(tmp_path: Path) -> None:
    """Whatever its name is: nothing is asked for."""
    here = {"GET /images/localhost/app/json": says(200, {})}
    with StubEngine(tmp_path, here) as stub, closing(DockerClient(stub.url, 5.0)) as client:
        Images(client, 5.0, OURS).ensure("localhost/app", PullPolicy.MISSING)
        assert PULL not in stub.calls
