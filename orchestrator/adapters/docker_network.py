"""The network of tasks that may have one: a bridge of our own, made when it is first needed and kept."""

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_errors import translated
from orchestrator.labels import NETWORK

NAME = "orchestrator"
_OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}


def ours(client: DockerClient) -> str:
    """The id of the bridge, on which containers reach the outside but not each other. Raises InfrastructureError.

    Workers may make one each at the same time, because names of networks are not unique: the first made is everybody's.
    """
    found = _all(client)
    if found:
        return found[0]
    with translated():
        made = client.api.create_network(NAME, driver="bridge", options=_OPTIONS, labels={NETWORK: NAME})["Id"]
    first = (_all(client) or [made])[0]
    if first != made:
        with translated():
            client.api.remove_network(made)
    return first


def _all(client: DockerClient) -> list[str]:
    with translated():
        found = client.api.networks(filters={"label": [f"{NETWORK}={NAME}"]})
    return [str(each["Id"]) for each in sorted(found, key=lambda each: (each["Created"], each["Id"]))]
