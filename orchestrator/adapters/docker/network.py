"""The network of tasks that may have one: a separate bridge, made at its first use and kept."""

from contextlib import suppress

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.errors import translated
from orchestrator.errors import InfrastructureError
from orchestrator.retrying import ENGINE_LISTS, Retrier, silent
from orchestrator.task.labels import NETWORK

NAME = "orchestrator"
_OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}
_NAMED = _OPTIONS | {"com.docker.network.bridge.name": NAME}
_LISTED_WITHIN = 2.0


class _NotListed(Exception):
    """The engine has made a network but does not list it yet."""


def ours(client: DockerClient) -> str:
    """The id of the bridge, on which containers reach the outside but not each other. Raises InfrastructureError.

    Names of networks need not be unique, but the engine refuses a second bridge with the same interface name. So if several
    workers make it at the same time, one succeeds. The network is never removed here: if dockerd is killed during a removal, it
    cannot start again.
    """
    if found := _found(client):
        return found
    with suppress(InfrastructureError):
        return _make(client, _NAMED)
    # another worker's bridge is listed a moment later; an engine that was killed while it made a bridge always refuses its name
    with suppress(_NotListed):
        return Retrier(backoff=ENGINE_LISTS, errors=(_NotListed,), told=silent).for_at_most(_LISTED_WITHIN, _listed, client)
    return _make(client, _OPTIONS)


def _make(client: DockerClient, options: dict[str, str]) -> str:
    with translated():
        return str(client.api.create_network(NAME, driver="bridge", options=options, labels={NETWORK: NAME})["Id"])


def _listed(client: DockerClient) -> str:
    if found := _found(client):
        return found
    raise _NotListed


def _found(client: DockerClient) -> str | None:
    """The oldest of these networks."""
    with translated():
        networks = client.api.networks(filters={"label": [f"{NETWORK}={NAME}"]})
    return min(((each["Created"], str(each["Id"])) for each in networks), default=(None, None))[1]
