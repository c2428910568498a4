"""The images that workers have pulled, and when a task last used each. The engine stores this in labels of volumes.

So the notes exist as long as the images, and all workers of an engine share them, in all deployments. The labels of a volume
never change: a later use makes a new volume and removes the earlier ones.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex

from attrs import frozen

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.errors import Conflict, translated
from orchestrator.errors import ContainerMissing, ImageUnavailable
from orchestrator.log import logger
from orchestrator.task.labels import IMAGE, IMAGE_TAGS, IMAGE_USED

_LATE = 0.1
"""The part of the time by which a note of a use may be late, so that not each use needs a note."""
_MILLI = 1000
Tags = Mapping[str, frozenset[str]]
"""The images of the engine, by id, with their tags."""


@frozen
class Pulled:
    """An image that a worker has pulled: its id, its tags at that time, its last use, and the volumes with the notes."""

    image: str
    tags: frozenset[str]
    used: float
    volumes: tuple[str, ...] = ()

    def is_stale(self, now: float, ttl: float) -> bool:
        """Whether a use at this time needs a note."""
        return now - self.used > ttl * _LATE

    def is_unwanted(self, tags: Collection[str], now: float, ttl: float) -> bool:
        """Whether no task has used the image within the time, and no other program has given it a tag."""
        return self.tags.issuperset(tags) and now - self.used > ttl * (1 + _LATE)


def noted(volumes: Iterable[Reading]) -> Iterator[Pulled]:
    """The notes of the volumes, each image once; unreadable volumes are left alone."""
    by_image: dict[str, list[Reading]] = defaultdict(list)
    for volume in volumes:
        if volume["Labels"].get(IMAGE_USED, "").isdecimal():
            by_image[volume["Labels"][IMAGE]].append(volume)
    for image, found in by_image.items():
        tags = frozenset(tag for each in found for tag in each["Labels"].get(IMAGE_TAGS, "").split())
        used = max(int(each["Labels"][IMAGE_USED]) for each in found) / _MILLI
        yield Pulled(image, tags, used, tuple(each["Name"] for each in found))


class PulledImages:
    """The images of one engine that workers have pulled. With a ``ttl`` of 0 there are no notes and no removals."""

    def __init__(self, client: DockerClient, ttl: float, now: Callable[[], float]) -> None:
        self._client = client
        self._ttl = ttl
        self._now = now

    def there(self) -> Tags:
        """The images before a pull; empty if notes are off. Raises InfrastructureError."""
        return self._there() if self._ttl else {}

    def note(self, image: str, before: Tags) -> None:
        """Note a pull of this image. No note if the image or its tags were there before and no worker had pulled them.

        Raises InfrastructureError.
        """
        if not self._ttl or not image:
            return
        ours = {pulled.image: pulled for pulled in self._noted()}
        strange = {each: tags for each, tags in before.items() if each not in ours}
        tags = self._there().get(image, frozenset())
        if image not in strange and not tags & frozenset[str]().union(*strange.values()):
            earlier = ours.get(image, Pulled(image, frozenset(), 0))
            self._renew(Pulled(image, earlier.tags | (tags - before.get(image, frozenset())), 0, earlier.volumes))

    def use(self, image: str) -> None:
        """Note that a task uses this image, if a worker has pulled it. Raises InfrastructureError."""
        if self._ttl:
            for pulled in self._noted():
                if pulled.image == image and pulled.is_stale(self._now(), self._ttl):
                    self._renew(pulled)

    def unwanted(self) -> Sequence[str]:
        """The ids of images that only tasks used, and that no task used within the time. Raises InfrastructureError.

        Images that containers have are noted as used.
        """
        pulled = [*self._noted()] if self._ttl else []
        return tuple(self._judged(pulled)) if pulled else ()

    def remove(self, image: str) -> None:
        """Remove an image. The engine refuses if a container has it, another image is made from it, or it has other names.

        Then it counts as used. Raises InfrastructureError.
        """
        for pulled in self._noted():
            if pulled.image == image:
                try:
                    with suppress(ImageUnavailable, ContainerMissing), translated():
                        self._client.api.remove_image(image)
                    self._forget(pulled.volumes)
                except Conflict as error:
                    logger.info("an image stays that is wanted after all: {}", error)
                    self._renew(pulled)

    def _judged(self, pulled: Iterable[Pulled]) -> Iterator[str]:
        there, now = self._there(), self._now()
        with translated():
            in_use = {each["ImageID"] for each in self._client.api.containers(all=True)}
        for each in pulled:
            if each.image not in there:
                self._forget(each.volumes)
            elif each.image in in_use:
                if each.is_stale(now, self._ttl):
                    self._renew(each)
            elif each.is_unwanted(there[each.image], now, self._ttl):
                yield each.image

    def _noted(self) -> Iterator[Pulled]:
        with translated():
            return noted(self._client.api.volumes(filters={"label": IMAGE})["Volumes"] or [])

    def _there(self) -> Tags:
        with translated():
            images = self._client.api.images()
        return {each["Id"]: frozenset(each["RepoTags"] or ()) - {"<none>:<none>"} for each in images}

    def _renew(self, pulled: Pulled) -> None:
        """Note a use at this time."""
        labels = {IMAGE: pulled.image, IMAGE_TAGS: " ".join(sorted(pulled.tags)), IMAGE_USED: str(int(self._now() * _MILLI))}
        with translated():
            self._client.api.create_volume(f"orchestrator-image-{token_hex(8)}", labels=labels)
        self._forget(pulled.volumes)

    def _forget(self, volumes: Iterable[str]) -> None:
        for volume in volumes:
            with suppress(ContainerMissing), translated():
                self._client.api.remove_volume(volume)
