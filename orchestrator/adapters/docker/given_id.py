"""An id for an engine that has none of its own: the label of a volume, which stays as long as the engine's storage."""

from secrets import token_hex

from orchestrator.adapters.docker.cleanup import named_volume
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.errors import InfrastructureError
from orchestrator.task.labels import ENGINE

VOLUME = "orchestrator-engine"


def given_id(client: DockerClient) -> str:
    """The engine's id. The first call of all workers makes the volume, and each later one is answered with that volume."""
    volume = named_volume(client, VOLUME, labels={ENGINE: token_hex(16)})
    given = (volume["Labels"] or {}).get(ENGINE)
    if not given:
        raise InfrastructureError(
            SERVICE, f"the volume {VOLUME} has no label {ENGINE}, which is the id of the engine: remove it"
        )
    return str(given)
