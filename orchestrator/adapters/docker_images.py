"""Images: whether they are there, how they are pulled, and which volumes they ask for."""

import json
import re
from collections.abc import Callable

from docker.auth import get_config_header, resolve_repository_name
from docker.utils import parse_repository_tag

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_errors import SERVICE, translated
from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.ports import PullPolicy


class Images:
    """The images of one engine. ``stall`` in seconds is the longest silence during a pull before it is cut."""

    def __init__(self, client: DockerClient, stall: float) -> None:
        self._client = client
        self._stall = stall
        self._volumes: dict[str, tuple[str, ...]] = {}
        self._labels: dict[str, tuple[str, ...]] = {}

    def ensure(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """Pull by policy. Raises ImageUnavailable when it cannot be had, InfrastructureError when asking again may help.

        What ``go_on`` raises, called for each line of progress, ends the pull.
        """
        if policy is PullPolicy.ALWAYS or not self._present(image):
            if policy is PullPolicy.NEVER:
                raise ImageUnavailable(f"image {image!r} is not there, and the pull policy is never")
            self._volumes.pop(image, None)
            self._labels.pop(image, None)
            self._pull(image, go_on)

    def volumes(self, image: str) -> tuple[str, ...]:
        """The paths for which the image wants volumes; none when the image is not there."""
        if image not in self._volumes:
            self._present(image)
        return self._volumes.get(image, ())

    def labels(self, image: str) -> tuple[str, ...]:
        """The names of the labels that the image gives its containers; none when the image is not there."""
        if image not in self._labels:
            self._present(image)
        return self._labels.get(image, ())

    def _present(self, image: str) -> bool:
        try:
            with translated():
                reading = self._client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        except (ImageUnavailable, ContainerMissing):
            return False
        config = reading.get("Config") or {}
        self._volumes[image], self._labels[image] = tuple(config.get("Volumes") or ()), tuple(config.get("Labels") or ())
        return True

    def _pull(self, image: str, go_on: Callable[[], None]) -> None:
        try:
            self._read_pull(image, go_on)
        except (ContainerMissing, ImageUnavailable) as error:
            raise ImageUnavailable(f"image {image!r} cannot be pulled: {error}") from error
        except InfrastructureError as error:
            if _FOR_GOOD.search(str(error)):
                raise ImageUnavailable(f"image {image!r} cannot be pulled: {error}") from error
            raise

    def _read_pull(self, image: str, go_on: Callable[[], None]) -> None:
        """Ask for the pull and read its progress to the end: errors are found there, under the status 200."""
        with translated():
            repository, tag = parse_repository_tag(image)
            credentials = get_config_header(self._client.api, resolve_repository_name(repository)[0])
        headers = {"X-Registry-Auth": credentials} if credentials else {}
        wanted = {"fromImage": repository, "tag": tag or "latest"}
        arguments = {"params": wanted, "headers": headers}
        with self._client.stream("POST", "/images/create", silence=self._stall, **arguments) as response:
            for line in response.iter_lines():
                go_on()
                if problem := json.loads(line).get("error"):
                    raise InfrastructureError(SERVICE, problem)


_FOR_GOOD = re.compile(
    "not found|manifest unknown|name unknown|no matching manifest|does not exist|invalid reference|invalid checksum"
    "|repository name|unauthorized|no basic auth credentials|403 forbidden|(?<!permission )denied",
    re.IGNORECASE,
)
"""What registries and the engine say when asking again would not help; permission is what lacks on the way."""
