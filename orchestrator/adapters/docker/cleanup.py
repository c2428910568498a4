"""Finds and removes the containers and volumes of a deployment, by their labels. Everything else is left alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from secrets import token_hex

from orchestrator.adapters.docker.cgroup_parents import OURS
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.container_config import Config, files_name, kept_name, out_name, plan_name, unstarted_config
from orchestrator.adapters.docker.container_state import instant
from orchestrator.adapters.docker.errors import SERVICE, Conflict, Refused, translated
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.warm_identity import Begun
from orchestrator.errors import ContainerMissing, InfrastructureError, TaskFailure
from orchestrator.log import logger
from orchestrator.ports import ContainerPlan, Owned
from orchestrator.retrying import ENGINE_BUSY, Retrier, silent
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, LIFETIME, NONCE, TASK, WARM, WORKER

_IN_USE = 10.0
_MISCOUNTED = "volume has active mounts"
_RUNS = "running"


def make_beside(client: DockerClient, plan: ContainerPlan, name: str, config: Reading) -> None:
    """Make a container with a volume, both called ``name``, or use those that an earlier try of the same plan made.

    Raises ImageUnavailable, TaskFailure if the engine refuses it, and InfrastructureError, also if the name is taken.
    """
    (mount,) = (each for each in config["HostConfig"]["Mounts"] if each["Source"] == name)
    expect_ours(plan, name, make_volume(client, mount)["Labels"] or {})
    try:
        with translated(wishes=True):
            client.api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
    except Conflict:
        expect_ours(plan, name, _container(client, name)["Config"]["Labels"] or {})
    except TaskFailure:
        _delete(partial(client.api.remove_volume, name))
        raise


def make_volume(client: DockerClient, mount: Reading) -> Reading:
    """Make the volume of a mount, and return its description, also if it was there before.

    Docker would make it with the container. Podman would then leave out its labels and its options.
    """
    options = mount["VolumeOptions"]
    driver = options.get("DriverConfig") or {}
    return named_volume(client, mount["Source"], driver.get("Name"), driver.get("Options"), labels=options["Labels"])


def named_volume(
    client: DockerClient,
    name: str,
    driver: str | None = None,
    options: dict[str, str] | None = None,
    *,
    labels: dict[str, str],
) -> Reading:
    """Make a volume and return its description. If it was there before, that is the older one's.

    Docker's first answer since its own start has no labels of an older volume, but a look at the volume has.
    """
    with translated():
        made: Reading = client.api.create_volume(name, driver, options, labels)
        return made if made["Labels"] else client.api.inspect_volume(name)


@contextmanager
def unstarted(client: DockerClient, plan: ContainerPlan, image: Image, mounts: Sequence[Config] = ()) -> Iterator[str]:
    """The name of a container of the plan's image that is never started.

    It gives access to the image's files, and is removed again. It has the plan's labels, so that the sweep finds it if the
    worker dies. Raises the same as ``make_beside``.
    """
    name = f"{plan.name}-look-{token_hex(4)}"
    try:
        with translated(wishes=True):
            client.api.create_container_from_config(unstarted_config(plan, image, mounts), name)  # type: ignore[no-untyped-call]
        yield name
    finally:
        _delete(partial(client.api.remove_container, name, v=True, force=True))  # no other process has a name with this token


def expect_ours(plan: ContainerPlan, name: str, labels: Mapping[str, str]) -> None:
    """Raise InfrastructureError unless the container or volume of this name was made for this plan, by any worker.

    Blank labels are the image's, and the image may have changed.
    """
    if any(labels.get(key) != value for key, value in plan.labels.items() if key not in {WORKER, LIFETIME} and value):
        raise InfrastructureError(
            SERVICE,
            f"the name {name} is already used with other labels, by another deployment's task or by an earlier task of this id",
        )


def owned(client: DockerClient, deployment: str, now: datetime) -> Iterator[Owned]:
    """The containers and volumes of a deployment; ``now`` is the engine's time. Raises InfrastructureError."""
    filters = {"label": f"{DEPLOYMENT}={deployment}"}
    with translated():
        containers = client.api.containers(all=True, filters=filters)
        volumes = client.api.volumes(filters=filters)["Volumes"] or []
    found = [
        ((each["Names"] or [each["Id"]])[0].lstrip("/"), each["Labels"], float(each["Created"]), each.get("State") == _RUNS)
        for each in containers
    ]
    found += [(each["Name"], each["Labels"], datetime.fromisoformat(each["CreatedAt"]).timestamp(), False) for each in volumes]
    for name, labels, made, runs in found:
        age = max(now.timestamp() - made, 0)  # the engine's clock is exact to half a round trip
        if TASK in labels and labels.get(ATTEMPT, "").isdigit():
            yield Owned(plan_name(name), labels[TASK], int(labels[ATTEMPT]), age, labels.get(NONCE, ""))
        elif WARM in labels and not (name == labels[WARM] and runs):  # one that still waits is its worker's
            yield from _left_of_a_pool(name, age)


def _left_of_a_pool(name: str, age: float) -> Iterator[Owned]:
    """A container that waited for a program and has the name of a task since, or that has ended before.

    Its labels do not tell its task, but its name does.
    """
    task_id, _, attempt = name.removeprefix(OURS).rpartition("-")
    if name.startswith(OURS) and task_id and attempt.isdecimal():
        yield Owned(name, task_id, int(attempt), age)


def waited(client: DockerClient, deployment: str) -> Iterator[str]:
    """The names under which the deployment's containers have waited for a program. Raises InfrastructureError."""
    with translated():
        found = client.api.containers(all=True, filters={"label": [f"{DEPLOYMENT}={deployment}", WARM]})
    return (each["Labels"][WARM] for each in found)


def deployments(client: DockerClient) -> Mapping[str, int]:
    """How many containers of each deployment there are. Raises InfrastructureError."""
    with translated():
        found = client.api.containers(all=True, filters={"label": DEPLOYMENT})
    return Counter(each["Labels"][DEPLOYMENT] for each in found)


def overdue(client: DockerClient, now: datetime, begun: Callable[[str], Begun | None] = lambda _: None) -> Iterator[str]:
    """The ids of containers that run longer than their label allows; ``now`` is the engine's time.

    A container beside the program's container has the same labels, but is still needed, so it is left out. ``begun`` tells
    when the program of a container began that had waited for it, and its labels. Raises InfrastructureError.
    """
    with translated():
        running = client.api.containers(filters={"label": LIFETIME, "status": "running"})
    for each in running:
        name = (each["Names"] or [""])[0].lstrip("/")
        allowed = each["Labels"][LIFETIME]
        if WARM in each["Labels"]:
            if name != each["Labels"][WARM] and _is_late(begun, each["Id"], now):
                yield each["Id"]
            continue
        late = allowed.isdecimal() and now.timestamp() - float(each["Created"]) > int(allowed)
        if late and name == plan_name(name) and _ran_for(client, each["Id"], now) > int(allowed):
            yield each["Id"]


def _is_late(begun: Callable[[str], Begun | None], container: str, now: datetime) -> bool:
    """Whether the program of a container that had waited for it has run for longer than it may."""
    with suppress(ContainerMissing):
        found = begun(container)
        if found and (allowed := found.labels.get(LIFETIME, "")).isdecimal():
            return (now - found.at).total_seconds() > int(allowed)
    return False


def _ran_for(client: DockerClient, container: str, now: datetime) -> float:
    """Seconds since the start of a running program; 0 if it has ended."""
    with suppress(ContainerMissing), translated():
        state = client.api.inspect_container(container)["State"]
        started = instant(state["StartedAt"])
        if state["Running"] and started:
            return (now - started).total_seconds()
    return 0


def told(reading: Reading, labels: Mapping[str, str]) -> Reading:
    """The part of the engine's description of a container that ``remove`` needs."""
    return {"Id": reading["Id"], "Config": {"Labels": labels}, "Mounts": reading.get("Mounts")}


def _own_labels(reading: Reading) -> Mapping[str, str]:
    return reading["Config"]["Labels"] or {}


def remove(
    client: DockerClient,
    name: str,
    deployment: str,
    nonce: str | None = None,
    exited: Reading | None = None,
    labels_of: Callable[[Reading], Mapping[str, str]] = _own_labels,
) -> Reading | None:
    """Remove the deployment's container of this name, and the containers and volumes beside it.

    Returns what the engine said of the container; empty if it was gone, None if the name belongs to another task. With
    ``nonce``, only containers and volumes with this nonce are removed. A container that mounts no volume of its own has nothing
    beside it. ``exited`` is what was told of the container, if it is known. ``labels_of`` gives the labels of one that the
    engine describes. Raises InfrastructureError.
    """
    free, container = _removed(client, name, deployment, nonce, exited, labels_of)
    mounted = {mount.get("Name", "") for mount in container.get("Mounts") or ()}
    for beside in (files_name(name), out_name(name)):
        if container and free and beside not in mounted:
            continue
        remove_container(client, beside, deployment, nonce)
        with suppress(ContainerMissing):
            volume, labels = _volume(client, beside)
            if _is_of(labels, deployment, nonce):
                _delete_out(client, volume)
    if not container or _mounts_kept(container, name):
        for volume in _kept(client, name, deployment, nonce):
            _delete(partial(client.api.remove_volume, volume))
    return container if free else None


def forget_kept(client: DockerClient, plan: ContainerPlan) -> None:
    """Remove the image's volumes that an interrupted create call has left: the engine would not copy into them again.

    Volumes of an existing container stay. Raises InfrastructureError.
    """
    for volume in _kept(client, plan.name, plan.labels.get(DEPLOYMENT, ""), plan.labels.get(NONCE)):
        with suppress(Conflict, ContainerMissing), translated():
            client.api.remove_volume(volume)


def _kept(client: DockerClient, name: str, deployment: str, nonce: str | None) -> list[str]:
    """The deployment's volumes with the content of an image's volumes, for the container of this name.

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
    """Remove the deployment's container of this name.

    It is removed by its id, because another container may have the name by then. False if the container belongs to another
    task.
    """
    return _removed(client, name, deployment, nonce)[0]


def _removed(
    client: DockerClient,
    name: str,
    deployment: str,
    nonce: str | None,
    exited: Reading | None = None,
    labels_of: Callable[[Reading], Mapping[str, str]] = _own_labels,
) -> tuple[bool, Reading]:
    """The same, and the engine's description of the container; empty if it was gone."""
    known = exited and _is_of(exited["Config"]["Labels"] or {}, deployment, nonce)
    if exited and known and _delete(partial(client.api.remove_container, exited["Id"], v=True, force=True)):
        return True, exited
    with suppress(ContainerMissing):
        reading = _container(client, name)
        free = _is_of(labels_of(reading) if nonce else _own_labels(reading), deployment, nonce)
        if free:
            _delete(partial(client.api.remove_container, reading["Id"], v=True, force=True))
        return free, reading
    return True, {}


def _mounts_kept(container: Reading, name: str) -> bool:
    """Whether it has volumes with the content of its image's volumes."""
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


def _delete_out(client: DockerClient, volume: str) -> None:
    """Delete it, or leave it to a later sweep if the engine counts its mounts wrong: only a restart mends that.

    Docker before 23.0.7 and 24.0.6 does so for volumes in use when it was started with live-restore.
    """
    try:
        _delete(partial(client.api.remove_volume, volume))
    except Refused as error:
        if _MISCOUNTED not in str(error):
            raise
        logger.warning("the volume {} stays until the engine is restarted: {}", volume, error)


def _delete(call: Callable[[], None]) -> bool:
    """Delete until it is gone; False if it was gone already.

    A conflict means that another process deletes it, or that it is still in use for a moment.
    """

    def delete() -> bool:
        with suppress(ContainerMissing), translated():
            call()
            return True
        return False

    return Retrier(backoff=ENGINE_BUSY, errors=(Conflict,), told=silent).for_at_most(_IN_USE, delete)
