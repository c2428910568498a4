"""Images: whether they are there, how they are pulled, and what they say of themselves."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from docker.auth import get_config_header, resolve_repository_name
from docker.errors import APIError, InvalidRepository
from docker.utils import parse_repository_tag

from orchestrator.adapters.docker import registry as docker_registry
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.adapters.docker.pulled_images import PulledImages
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.log import logger
from orchestrator.ports import PullPolicy

_RULES = PullRules()
_NO_HELPER = re.compile(r"(docker-credential-[\w.-]+) not installed")
"""What the library says of a helper of ``credsStore`` or ``credHelpers`` that is not there."""


class Images:
    """The images of one engine. ``stall`` in seconds is the longest silence during a pull before it is cut."""

    def __init__(
        self, client: DockerClient, stall: float, rules: PullRules = _RULES, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._stall = stall
        self._rules = rules
        self._known: dict[str, Image] = {}
        self._pulled = PulledImages(client, rules.image_ttl, now)

    def ensure(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """Pull by policy. Raises ImageUnavailable when it cannot be had, InfrastructureError when asking again may help.

        What ``go_on`` raises, called for each line of progress, ends the pull.
        """
        if policy is PullPolicy.ALWAYS or not self._present(image):
            if policy is PullPolicy.NEVER:
                raise ImageUnavailable(f"image {image!r} is not there, and the pull policy is never")
            self._known.pop(image, None)
            before = self._pulled.there()
            self._pull(image, go_on)
            if self._rules.image_ttl:
                self._pulled.note(self.described(image).id, before)
        else:
            self._pulled.use(self._known[image].id)

    def unwanted(self) -> Sequence[str]:
        """See PulledImages."""
        return self._pulled.unwanted()

    def remove(self, image: str) -> None:
        """See PulledImages."""
        self._pulled.remove(image)

    def described(self, image: str) -> Image:
        """What the image says of itself; UNKNOWN when it is not there."""
        if image not in self._known:
            self._present(image)
        return self._known.get(image, UNKNOWN)

    def _present(self, image: str) -> bool:
        try:
            with translated():
                reading = self._client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        except (ImageUnavailable, ContainerMissing):
            return False
        except InfrastructureError as error:
            if docker_registry.is_final(str(error)):
                raise ImageUnavailable(f"image {image!r}: {docker_registry.told(str(error))}") from error
            raise
        self._known[image] = Image.of(reading)
        return True

    def _pull(self, image: str, go_on: Callable[[], None]) -> None:
        """The engine may quote whatever service answered in a registry's place, so its words go into the worker's log alone."""
        docker_registry.check(image, self._rules.registries)
        try:
            self._read_pull(image, go_on)
        except (ContainerMissing, ImageUnavailable, InfrastructureError) as error:
            if isinstance(error, _TooMuch) or not isinstance(error.__cause__, APIError | None):
                raise  # this package's words, or those of the connection to the engine
            logger.warning("the engine says of the pull of {}: {}", image, error)
            what = f"image {image!r} cannot be pulled: {docker_registry.told(str(error))}"
            if isinstance(error, InfrastructureError) and not docker_registry.is_final(str(error)):
                raise InfrastructureError(SERVICE, what) from error
            raise ImageUnavailable(what) from error

    def _read_pull(self, image: str, go_on: Callable[[], None]) -> None:
        """Ask for the pull and read its progress to the end: errors are found there, under the status 200."""
        repository, tag, credentials = self._asked(image)
        headers = {"X-Registry-Auth": credentials} if credentials else {}
        arguments = {"params": {"fromImage": repository, "tag": tag or "latest"}, "headers": headers}
        layers = _Layers(image, self._rules.most)
        silence = min(self._stall, self._rules.timeout)
        with self._client.stream("POST", "/images/create", silence=silence, **arguments) as response:
            for line in response.iter_lines():
                go_on()
                told = json.loads(line)
                if problem := told.get("error"):
                    raise InfrastructureError(SERVICE, problem)
                layers.count(told)

    def _asked(self, image: str) -> tuple[str, str | None, bytes | None]:
        """Repository, tag and credentials. Raises ImageUnavailable for what the library does not take for a name."""
        try:
            repository, tag = parse_repository_tag(image)
            with translated():
                return repository, tag, get_config_header(self._client.api, resolve_repository_name(repository)[0])
        except InfrastructureError as error:
            if isinstance(error.__cause__, InvalidRepository):
                raise ImageUnavailable(f"image {image!r} cannot be pulled: this cannot be the name of an image") from error
            if missing := _NO_HELPER.search(str(error)):
                why = (
                    f"the worker's Docker configuration names {missing[1]} for the registry's password, which is not installed"
                )
                raise ImageUnavailable(f"image {image!r} cannot be pulled: {why}") from error
            raise


@define
class _Layers:
    """The bytes of layers that a pull has told of."""

    _image: str
    _most: int
    _bytes: dict[str, int] = field(factory=dict)

    def count(self, told: Mapping[str, Any]) -> None:
        """Raise _TooMuch once there are too many, by what a line of the progress tells."""
        layer, progress = str(told.get("id")), told.get("progressDetail") or {}
        self._bytes[layer] = max(progress.get("total") or 0, progress.get("current") or 0, self._bytes.get(layer, 0))
        if sum(self._bytes.values()) > self._most:
            raise _TooMuch(f"image {self._image!r} cannot be pulled: its layers have more than {self._most} bytes")


class _TooMuch(ImageUnavailable):
    """A bound of a pull is passed; its message is ours."""
