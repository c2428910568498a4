"""Finds, pulls and inspects images."""

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
from orchestrator.adapters.docker.recent import Recent
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.log import logger
from orchestrator.ports import PullPolicy

_RULES = PullRules()
_IMAGES = 256
"""So many images are remembered; another one is inspected again."""
_NO_HELPER = re.compile(r"(docker-credential-[\w.-]+) not installed")
"""The library's message for a missing helper of ``credsStore`` or ``credHelpers``."""


class Images:
    """The images of one engine. ``stall``, in seconds, is the longest silence before a pull is cut."""

    def __init__(
        self, client: DockerClient, stall: float, rules: PullRules = _RULES, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._stall = stall
        self._rules = rules
        self._known = Recent[Image](_IMAGES)
        self._pulled = PulledImages(client, rules.image_ttl, now)

    def ensure(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """Pull by policy. Raises ImageUnavailable if a new try does not help, InfrastructureError if it may help.

        ``go_on`` is called for each line of progress. An error that it raises ends the pull.
        """
        if policy is PullPolicy.ALWAYS or not self._present(image):
            if policy is PullPolicy.NEVER:
                raise ImageUnavailable(f"image {image!r} is not there, and the pull policy is never")
            self._known.pop(image)
            before = self._pulled.there()
            self._pull(image, go_on)
            if self._rules.image_ttl:
                self._pulled.note(self.described(image).id, before)
        else:
            self._pulled.use(self.described(image).id)

    def unwanted(self) -> Sequence[str]:
        """See PulledImages."""
        return self._pulled.unwanted()

    def remove(self, image: str) -> None:
        """See PulledImages."""
        self._pulled.remove(image)

    def described(self, image: str) -> Image:
        """The image as the engine inspects it; UNKNOWN if the engine does not have it."""
        if self._known.get(image) is None:
            self._present(image)
        return self._known.get(image) or UNKNOWN

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
        self._known.put(image, Image.of(reading))
        return True

    def _pull(self, image: str, go_on: Callable[[], None]) -> None:
        """The engine may quote any service that answered in place of a registry. So its words go only into the worker's log."""
        docker_registry.check(image, self._rules.registries)
        try:
            self._read_pull(image, go_on)
        except (ContainerMissing, ImageUnavailable, InfrastructureError) as error:
            if isinstance(error, _TooMuch) or not isinstance(error.__cause__, APIError | None):
                raise  # the words of this package, or of the connection to the engine
            logger.warning("the engine says of the pull of {}: {}", image, error)
            what = f"image {image!r} cannot be pulled: {docker_registry.told(str(error))}"
            if isinstance(error, InfrastructureError) and not docker_registry.is_final(str(error)):
                raise InfrastructureError(SERVICE, what) from error
            raise ImageUnavailable(what) from error

    def _read_pull(self, image: str, go_on: Callable[[], None]) -> None:
        """Ask for the pull and read its progress to the end, because errors come there, under the status 200."""
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
        """Repository, tag and credentials. Raises ImageUnavailable if the library refuses the name."""
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
    """The bytes of layers that a pull has reported."""

    _image: str
    _most: int
    _bytes: dict[str, int] = field(factory=dict)

    def count(self, told: Mapping[str, Any]) -> None:
        """Add the bytes of a line of progress. Raises _TooMuch if there are too many."""
        layer, progress = str(told.get("id")), told.get("progressDetail") or {}
        self._bytes[layer] = max(progress.get("total") or 0, progress.get("current") or 0, self._bytes.get(layer, 0))
        if sum(self._bytes.values()) > self._most:
            raise _TooMuch(f"image {self._image!r} cannot be pulled: its layers have more than {self._most} bytes")


class _TooMuch(ImageUnavailable):
    """A pull passed a limit; the message is this package's."""
