"""Whose a name on the engine is, by its labels: what a deployment has is found and removed, what others have is left alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from secrets import token_hex

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.container_config import Config, files_name, kept_name, out_name, plan_name, unstarted_config
from orchestrator.adapters.docker.container_state import instant
from orchestrator.adapters.docker.errors import SERVICE, Conflict, translated
from orchestrator.adapters.docker.image import Image
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import ContainerPlan, Owned
from orchestrator.retrying import ENGINE_BUSY, Retrier, silent
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, LIFETIME, NONCE, TASK, WORKER

_IN_USE = 10.0


def make_beside(client: DockerClient, plan: ContainerPlan, name: str, config: Config) -> None:
    """Make a container with a volume, both called ``name``, or go on with what an earlier try of the same plan left.

    Raises ImageUnavailable, TaskFailure when the engine refuses it, and InfrastructureError, also when the name is another's.
    """
    try:
        with translated(wishes=True):
            client.api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
    except Conflict:
        expect_ours(plan, name, _container(client, name)["Config"]["Labels"] or {})
    expect_ours(plan, name, _volume(client, name)[1])


@contextmanager
def unstarted(client: DockerClient, plan: ContainerPlan, image: Image, mounts: Sequence[Config] = ()) -> Iterator[str]:
    """The name of a container of the plan's image that is never started, to reach what is in it; it is removed again.

    It has the plan's labels, so that the sweep finds what a worker left that died. Raises as ``make_beside`` does.
    """
    name = f"{plan.name}-look-{token_hex(4)}"
    try:
        with translated(wishes=True):
            client.api.create_container_from_config(unstarted_config(plan, image, mounts), name)  # type: ignore[no-untyped-call]
        yield name
    finally:
        _delete(partial(client.api.remove_container, name, v=True, force=True))  # nobody else has a name with this token


def expect_ours(plan: ContainerPlan, name: str, labels: Mapping[str, str]) -> None:
    """Raise InfrastructureError unless what has the name was made for this plan, by whichever worker.

    Blank labels are the image's, and the image may have changed.
    """
    if any(labels.get(key) != value for key, value in plan.labels.items() if key not in {WORKER, LIFETIME} and value):
        raise InfrastructureError(
            SERVICE,
            f"the name {name} is taken by what has other labels, as of another deployment or of another task that had this id",
        )


def owned(client: DockerClient, deployment: str, now: datetime) -> Iterator[Owned]:
    """The containers and volumes of a deployment; ``now`` is the engine's time. Raises InfrastructureError."""
    filters = {"label": f"{DEPLOYMENT}={deployment}"}
    with translated():
        containers = client.api.containers(all=True, filters=filters)
        volumes = client.api.volumes(filters=filters)["Volumes"] or []
    found = [((each["Names"] or [each["Id"]])[0].lstrip("/"), each["Labels"], float(each["Created"])) for each in containers]
    found += [(each["Name"], each["Labels"], datetime.fromisoformat(each["CreatedAt"]).timestamp()) for each in volumes]
    for name, labels, made in found:
        if TASK in labels and labels.get(ATTEMPT, "").isdigit():
            age = max(now.timestamp() - made, 0)  # the engine's clock is known to half a round trip
            yield Owned(plan_name(name), labels[TASK], int(labels[ATTEMPT]), age, labels.get(NONCE, ""))


def deployments(client: DockerClient) -> Mapping[str, int]:
    """How many containers of each deployment there are. Raises InfrastructureError."""
    with translated():
        found = client.api.containers(all=True, filters={"label": DEPLOYMENT})
    return Counter(each["Labels"][DEPLOYMENT] for each in found)


def overdue(client: DockerClient, now: datetime) -> Iterator[str]:
    """The ids of programs that run for longer than their label allows; ``now`` is the engine's time.

    A container beside a program's has the same labels, but holds what is still wanted. Raises InfrastructureError.
    """
    with translated():
        running = client.api.containers(filters={"label": LIFETIME, "status": "running"})
    for each in running:
        name = (each["Names"] or [""])[0].lstrip("/")
        allowed = each["Labels"][LIFETIME]
        late = allowed.isdecimal() and now.timestamp() - float(each["Created"]) > int(allowed)
        if late and name == plan_name(name) and _ran_for(client, each["Id"], now) > int(allowed):
            yield each["Id"]


def _ran_for(client: DockerClient, container: str, now: datetime) -> float:
    """Seconds since the start of a program that runs; 0 when it does not any more."""
    with suppress(ContainerMissing), translated():
        state = client.api.inspect_container(container)["State"]
        started = instant(state["StartedAt"])
        if state["Running"] and started:
            return (now - started).total_seconds()
    return 0


def remove(client: DockerClient, name: str, deployment: str, nonce: str | None = None) -> bool:
    """Remove the deployment's container of this name, and the containers and volumes beside it.

    False when the name is left to another's. With ``nonce`` only what has that is removed. Raises InfrastructureError.
    """
    free, container = _removed(client, name, deployment, nonce)
    for beside in (files_name(name), out_name(name)):
        remove_container(client, beside, deployment, nonce)
        with suppress(ContainerMissing):
            volume, labels = _volume(client, beside)
            if _is_of(labels, deployment, nonce):
                _delete(partial(client.api.remove_volume, volume))
    if not container or _mounts_kept(container, name):
        for volume in _kept(client, name, deployment, nonce):
            _delete(partial(client.api.remove_volume, volume))
    return free


def forget_kept(client: DockerClient, plan: ContainerPlan) -> None:
    """Remove what a create that was cut has left of the image's volumes: the engine would not copy into it again.

    Those of a container that is there stay. Raises InfrastructureError.
    """
    for volume in _kept(client, plan.name, plan.labels.get(DEPLOYMENT, ""), plan.labels.get(NONCE)):
        with suppress(Conflict, ContainerMissing), translated():
            client.api.remove_volume(volume)


def _kept(client: DockerClient, name: str, deployment: str, nonce: str | None) -> list[str]:
    """The deployment's volumes with what an image had in its own, of the container of this name.

    The engine looks through all volumes of the host for them.
    """
    with suppress(ContainerMissing), translated():
        listed = client.api.volumes(filters={"name": kept_name(name)})["Volumes"] or []
        return [
            each["Name"]
            for each in listed
            if plan_name(each["Name"]) == name and _is_of(each["Labels"] or {}, deployment, nonce)
        ]
    return []


def remove_container(client: DockerClient, name: str, deployment: str, nonce: str | None = None) -> bool:
    """Remove the deployment's container of this name; by its id, so that none is hit that has the name by then.

    False when it is left to another.
    """
    return _removed(client, name, deployment, nonce)[0]


def _removed(client: DockerClient, name: str, deployment: str, nonce: str | None) -> tuple[bool, Reading]:
    """The same, and what the engine said of the container; nothing when it was gone."""
    with suppress(ContainerMissing):
        reading = _container(client, name)
        free = _is_of(reading["Config"]["Labels"] or {}, deployment, nonce)
        if free:
            _delete(partial(client.api.remove_container, reading["Id"], v=True, force=True))
        return free, reading
    return True, {}


def _mounts_kept(container: Reading, name: str) -> bool:
    """Whether it has volumes with what its image had in its own."""
    return any(mount.get("Name", "").startswith(kept_name(name)) for mount in container.get("Mounts") or ())


def _is_of(labels: Mapping[str, str], deployment: str, nonce: str | None) -> bool:
    return labels.get(DEPLOYMENT) == deployment and nonce in {None, labels.get(NONCE, "")}


def _container(client: DockerClient, name: str) -> Reading:
    with translated():
        reading: Reading = client.api.inspect_container(name)
    return reading


def _volume(client: DockerClient, name: str) -> tuple[str, Mapping[str, str]]:
    with translated():
        reading = client.api.inspect_volume(name)
    return reading["Name"], reading["Labels"] or {}


def _delete(call: Callable[[], None]) -> None:
    """Delete until it is gone: a conflict says that somebody else is at it, or that it is still in use for a moment."""

    def delete() -> None:
        with suppress(ContainerMissing), translated():
            call()

    Retrier(backoff=ENGINE_BUSY, errors=(Conflict,), told=silent).for_at_most(_IN_USE, delete)
