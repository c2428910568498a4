"""Images that only tasks use are removed after a time, and no others, on Docker with a registry on this machine."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import docker as library_of_docker
import pytest
from attrs import define

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.images import Images
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.ports import PullPolicy
from orchestrator.task.labels import IMAGE
from tests.support import pace
from tests.support.containers import WHERE, Bench, library
from tests.support.registry import Registry
from tests.support.worker_process import until

TTL = 100.0
OWN_TAG = "orchestrator-test-own"


@define
class Place:
    """An engine's images, its library, a registry with an image that is new to it, and a clock that is moved by hand."""

    registry: Registry
    client: library_of_docker.DockerClient
    images: Images
    time: float = 1_000_000.0

    @property
    def name(self) -> str:
        """The image, by its tag."""
        return f"{self.registry.host}/app:1"

    @property
    def by_digest(self) -> str:
        """The image, by its digest."""
        return f"{self.registry.host}/app@{self.registry.digest}"

    def pull(self, image: str = "", policy: PullPolicy = PullPolicy.MISSING) -> str:
        """As for a task; the image's id."""
        self.images.ensure(image or self.name, policy)
        return str(self.client.images.get(image or self.name).id)

    def wait(self, times: float) -> None:
        """Let so many times TTL pass."""
        self.time += times * TTL

    def is_there(self, image: str) -> bool:
        """Whether the image is on the engine."""
        return image in {each.id for each in self.client.images.list(all=True)}

    def notes(self, image: str) -> list[str]:
        """The notes of the image."""
        return [each.name for each in self.client.volumes.list(filters={"label": f"{IMAGE}={image}"})]


@pytest.fixture
def place(docker: Bench) -> Iterator[Place]:  # noqa: ARG001
    """Afterwards the image is removed with all its tags, and the notes are removed."""
    with Registry(uuid.uuid4().hex) as registry, library() as client, closing(DockerClient(WHERE, 60.0)) as own:
        place = Place(registry, client, Images(own, 60.0, PullRules(image_ttl=TTL), lambda: place.time))
        yield place
        for image in client.images.list():
            if any(registry.host in name or OWN_TAG in name for name in [*image.tags, *image.attrs["RepoDigests"]]):
                for volume in place.notes(image.id):
                    client.volumes.get(volume).remove()
                client.images.remove(image.id, force=True)


@pytest.mark.parametrize("pinned", [False, True])
def test_an_image_that_no_task_uses_goes_after_the_time(place: Place, *, pinned: bool) -> None:
    """Under any name of the pull. Each use counts, and the image and its notes are removed."""
    name = place.by_digest if pinned else place.name
    image = place.pull(name)
    place.wait(0.9)
    assert image not in place.images.unwanted()
    assert place.pull(name) == image
    place.wait(0.9)
    assert image not in place.images.unwanted()
    place.wait(0.3)
    assert image in place.images.unwanted()
    place.images.remove(image)
    assert not place.is_there(image)
    assert place.notes(image) == []
    assert place.pull(name) == image


def test_an_image_that_a_container_has_stays(place: Place) -> None:
    """Also one that was never started, and also if the container came after the look; its time begins when that goes."""
    image = place.pull()
    place.wait(2)
    assert image in place.images.unwanted()
    container = place.client.containers.create(place.name, "nothing", name=f"orchestrator-test-{uuid.uuid4().hex[:8]}")
    try:
        place.images.remove(image)
        assert place.is_there(image)
        place.wait(2)
        assert image not in place.images.unwanted()
    finally:
        container.remove()
    assert image not in place.images.unwanted()
    place.wait(2)
    assert image in place.images.unwanted()


@pytest.mark.parametrize("renamed", [False, True])
def test_an_image_that_somebody_has_tagged_stays(place: Place, *, renamed: bool) -> None:
    """Beside the worker's tag, or in place of it; also if that came after the look."""
    image = place.pull()
    place.wait(2)
    assert image in place.images.unwanted()
    place.client.images.get(image).tag(OWN_TAG, place.registry.host.rpartition(":")[2])
    if renamed:
        place.client.images.remove(place.name)
    else:
        place.images.remove(image)
        place.wait(2)
    assert place.is_there(image)
    assert image not in place.images.unwanted()


@pytest.mark.parametrize("policy", [PullPolicy.MISSING, PullPolicy.ALWAYS])
def test_an_image_that_somebody_else_has_pulled_stays(place: Place, policy: PullPolicy) -> None:
    """Tasks may use it, and a worker may ask the registry again."""
    place.client.images.pull(place.name)
    image = place.pull(policy=policy)
    place.wait(2)
    assert place.notes(image) == []
    assert image not in place.images.unwanted()


def test_an_image_is_kept_for_good_unless_a_time_is_set(docker: Bench, place: Place) -> None:
    """Nothing is noted then; with a time, an engine's own clock tells."""
    docker.engine.pull(place.name, PullPolicy.MISSING)
    image = str(place.client.images.get(place.name).id)
    assert place.notes(image) == []
    assert docker.engine.unwanted_images() == ()
    place.client.images.remove(image)
    with closing(DockerEngine(WHERE, pull_rules=PullRules(image_ttl=0.2))) as engine:
        engine.pull(place.name, PullPolicy.MISSING)
        until(lambda: image in engine.unwanted_images(), pace.seconds(10))
        engine.remove_image(image)
    assert not place.is_there(image)
