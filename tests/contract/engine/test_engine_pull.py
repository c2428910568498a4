"""Pulls by Docker from a registry on this machine."""

import time
import uuid
from collections.abc import Iterator

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import ImageUnavailable, InfrastructureError
from orchestrator.ports import PullPolicy
from tests.support import pace
from tests.support.containers import WHERE, Bench, library
from tests.support.registry import Registry


@pytest.fixture
def registry(docker: Bench) -> Iterator[Registry]:  # noqa: ARG001
    """A registry with an image that was never pulled. Pulled images are removed afterwards."""
    with Registry(uuid.uuid4().hex) as registry:
        yield registry
        with library() as client:
            for image in client.images.list():
                if any(registry.host in name for name in [*image.tags, *image.attrs["RepoDigests"]]):
                    client.images.remove(image.id, force=True)


@pytest.fixture
def hasty(docker: Bench) -> Iterator[DockerEngine]:  # noqa: ARG001
    """An adapter that gives a silent pull one second."""
    engine = DockerEngine(WHERE, pull_stall=1.0)
    yield engine
    engine.close()


@pytest.mark.parametrize("reference", [":1", "@{digest}"])
def test_an_image_is_pulled_when_it_is_missing(docker: Bench, registry: Registry, reference: str) -> None:
    """By tag or by digest; afterwards it is there, even if the registry is not."""
    image = f"{registry.host}/app{reference.format(digest=registry.digest)}"
    docker.engine.pull(image, PullPolicy.MISSING)
    docker.engine.pull(image, PullPolicy.NEVER)


@pytest.mark.parametrize("image", ["app:2", "nobody:1", "secret:1", f"app@sha256:{'0' * 64}"])
def test_what_the_registry_does_not_give_is_unavailable(docker: Bench, registry: Registry, image: str) -> None:
    """No such tag, no such repository, no access, no such digest: asking again would not help."""
    with pytest.raises(ImageUnavailable):
        docker.engine.pull(f"{registry.host}/{image}", PullPolicy.MISSING)


def test_a_registry_in_trouble_is_infrastructure(docker: Bench, registry: Registry) -> None:
    """It says so itself."""
    with pytest.raises(InfrastructureError):
        docker.engine.pull(f"{registry.host}/broken:1", PullPolicy.MISSING)


def test_a_registry_that_is_away_is_infrastructure(docker: Bench, registry: Registry) -> None:
    """No server listens at its port."""
    image = f"{registry.host}/app:1"
    registry.__exit__()
    with pytest.raises(InfrastructureError):
        docker.engine.pull(image, PullPolicy.ALWAYS)


def test_a_layer_that_stalls_is_cut(hasty: DockerEngine, registry: Registry) -> None:
    """Silence in the middle of a download is no reason to wait for ever."""
    began = time.monotonic()
    with pytest.raises(InfrastructureError):
        hasty.pull(f"{registry.host}/stalls:1", PullPolicy.MISSING)
    assert time.monotonic() - began < pace.seconds(20)


def test_always_asks_the_registry_again(docker: Bench, registry: Registry) -> None:
    """With the policy always, a present image is not enough if the registry is gone."""
    image = f"{registry.host}/app:1"
    docker.engine.pull(image, PullPolicy.ALWAYS)
    registry.__exit__()
    with pytest.raises(InfrastructureError):
        docker.engine.pull(image, PullPolicy.ALWAYS)
