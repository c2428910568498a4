"""When images are pulled, and how a pull may end."""

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.images import Images
from orchestrator.errors import CancelRequested, ImageUnavailable, InfrastructureError
from orchestrator.ports import PullPolicy
from tests.support import pace
from tests.unit.adapters.docker.engine_stub import Answer, StubEngine, falls_silent, hangs_up, refuses, says, streams

LOOK, PULL = "GET /images/app:1/json", "POST /images/create"
THERE = says(200, {"Id": "sha256:1", "Config": {"Volumes": {"/data": {}}}})
MISSING = refuses(404, "No such image: app:1")


def _progress(*events: dict[str, object]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\r\n" for event in events)


def _fails(message: str) -> Answer:
    return streams(_progress({"status": "Pulling"}), _progress({"errorDetail": {"message": message}, "error": message}))


PULLED = streams(_progress({"status": "Pulling"}, {"status": "Downloaded"}))


def _ensure(tmp_path: Path, policy: PullPolicy, look: Answer, pull: Answer = PULLED, stall: float = 5.0) -> list[str]:
    """Ask for the image; returns the calls that were made."""
    with StubEngine(tmp_path, {LOOK: look, PULL: pull}) as stub:
        client = DockerClient(stub.url, 5.0)
        try:
            Images(client, stall).ensure("app:1", policy)
        finally:
            client.close()
        return stub.calls


@pytest.mark.parametrize(
    ("policy", "look", "calls"),
    [
        (PullPolicy.MISSING, THERE, [LOOK]),
        (PullPolicy.MISSING, MISSING, [LOOK, PULL]),
        (PullPolicy.ALWAYS, THERE, [PULL]),
        (PullPolicy.NEVER, THERE, [LOOK]),
    ],
    ids=["missing, there", "missing", "always", "never"],
)
def test_the_policy_decides_who_is_asked(tmp_path: Path, policy: PullPolicy, look: Answer, calls: list[str]) -> None:
    """The registry only when need be."""
    assert _ensure(tmp_path, policy, look) == calls


def test_a_pull_that_nobody_wants_any_more_is_cut(tmp_path: Path) -> None:
    """Between two lines of its progress; the image may be large."""
    lines = [_progress({"status": str(number)}) for number in range(3)]
    told: list[int] = []

    def go_on() -> None:
        told.append(1)
        if len(told) > 1:
            raise CancelRequested

    with StubEngine(tmp_path, {LOOK: MISSING, PULL: streams(*lines)}) as stub, closing(DockerClient(stub.url, 5.0)) as client:
        with pytest.raises(CancelRequested):
            Images(client, 5.0).ensure("app:1", PullPolicy.MISSING, go_on)
        assert len(told) == 2


def test_what_may_not_be_pulled_is_unavailable(tmp_path: Path) -> None:
    """The policy is named."""
    with pytest.raises(ImageUnavailable, match="policy is never"):
        _ensure(tmp_path, PullPolicy.NEVER, MISSING)


@pytest.mark.parametrize(
    "pull",
    [
        refuses(404, "pull access denied for app, repository does not exist or may require 'docker login'"),
        refuses(404, "manifest for app:1 not found: manifest unknown: manifest unknown"),
        refuses(400, "invalid reference format"),
        refuses(500, "unauthorized: authentication required"),
        refuses(500, "denied: requested access to the resource is denied"),
        refuses(500, "denied"),
        _fails("no matching manifest for linux/amd64 in the manifest list entries"),
        _fails("manifest unknown"),
    ],
)
def test_what_the_registry_does_not_give_is_unavailable(tmp_path: Path, pull: Answer) -> None:
    """Wherever the refusal is said: in the status or inside the stream."""
    with pytest.raises(ImageUnavailable, match="app:1"):
        _ensure(tmp_path, PullPolicy.MISSING, MISSING, pull)


@pytest.mark.parametrize(
    "pull",
    [
        refuses(500, 'Get "https://registry/v2/": dial tcp: lookup registry: no such host'),
        refuses(500, "dial tcp 10.0.0.1:443: connect: connection refused"),
        refuses(500, "proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: permission denied"),
        refuses(500, "toomanyrequests: You have reached your pull rate limit"),
        _fails("received unexpected HTTP status: 503 Service Unavailable"),
        _fails("unexpected EOF"),
        _fails("write /var/lib/docker/tmp/x: no space left on device"),
        streams(_progress({"status": "Pulling"}), whole=False),
        streams(b'{"status": "Pul'),
        hangs_up,
    ],
)
def test_trouble_on_the_way_is_infrastructure(tmp_path: Path, pull: Answer) -> None:
    """Asking again may help."""
    with pytest.raises(InfrastructureError):
        _ensure(tmp_path, PullPolicy.MISSING, MISSING, pull)


def test_a_pull_that_stalls_is_cut(tmp_path: Path) -> None:
    """After the time for stalls, not after that for calls."""
    began = time.monotonic()
    with pytest.raises(InfrastructureError):
        _ensure(tmp_path, PullPolicy.MISSING, MISSING, falls_silent, stall=0.2)
    assert time.monotonic() - began < pace.seconds(2)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("app", "fromImage=app&tag=latest"),
        ("app:1", "fromImage=app&tag=1"),
        ("host:5000/team/app:1", "fromImage=host%3A5000%2Fteam%2Fapp&tag=1"),
        ("app@sha256:" + "0" * 64, "fromImage=app&tag=sha256%3A" + "0" * 64),
    ],
)
def test_tags_and_digests_are_asked_for_as_given(tmp_path: Path, image: str, wanted: str) -> None:
    """Never all tags; a digest stays one."""
    asked: list[str] = []

    def listen(handler) -> None:  # noqa: ANN001
        asked.append(handler.path)
        PULLED(handler)

    with StubEngine(tmp_path, {PULL: listen}) as stub:
        client = DockerClient(stub.url, 5.0)
        Images(client, 5.0).ensure(image, PullPolicy.ALWAYS)
        client.close()
    assert asked == [f"/v1.41/images/create?{wanted}"]


def test_the_volumes_of_an_image_are_asked_for_once(tmp_path: Path) -> None:
    """They are known from the look at the image before a run; an image that is not there has none."""
    with StubEngine(tmp_path, {LOOK: THERE}) as stub:
        client = DockerClient(stub.url, 5.0)
        images = Images(client, 5.0)
        images.ensure("app:1", PullPolicy.MISSING)
        assert images.described("app:1").volumes == ("/data",)
        assert images.described("other:1").volumes == ()
        client.close()
    assert stub.calls == [LOOK, "GET /images/other:1/json"]
