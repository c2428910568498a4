"""What a document says of its container is believed only where the container's labels bear it out."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.ports import ContainerPlan, ContainerState, Phase, Stream
from orchestrator.task.codec import to_document
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK, WARM
from orchestrator.task.limits import Limits
from orchestrator.task.values import Document
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tasks import entries
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": [*PROGRAM], "artifacts": ["a"]}
NAME = "orchestrator-t-1"
BEGUN = [State.RUNNING, State.COLLECTING, State.UPLOADING]
Strange = Callable[[dict[str, str]], tuple[str, dict[str, str]]]
STRANGERS: dict[str, Strange] = {
    "a container without labels": lambda _: ("postgres", {}),
    "another deployment's": lambda ours: (NAME, ours | {DEPLOYMENT: "another"}),
    "another task's": lambda ours: ("orchestrator-u-1", ours | {TASK: "u"}),
    "another attempt's": lambda ours: ("orchestrator-t-2", ours | {ATTEMPT: "2"}),
    "one with the task's labels and another name": lambda ours: ("postgres", ours),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An engine on which every program tells a secret."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("out/a"))
    return World(tmp_path, {PROGRAM: Program(stdout=b"secret", seconds=FOREVER.seconds, out=archive.getvalue())})


def _runs(world: World, name: str, labels: dict[str, str]) -> ContainerState:
    plan = ContainerPlan(
        name, "image", PROGRAM, {}, None, "1:1", network=False, stdin=None, files={}, limits=Limits(), labels=labels, out=True
    )
    world.engine.start(world.engine.create(plan).id)
    return world.engine.inspect(name)


def _forged(status: State, container: ContainerState) -> Document:
    """A document that no worker wrote, though it looks as if."""
    reference = {"id": container.id, "name": NAME, "engine": "memory"}
    history = [entry for entry in entries() if entry.seq <= BEGUN.index(status) + 1]
    own = {"status": status, "seq": len(history), "history": to_document({"h": history})["h"]}
    return {"_id": "t", **REQUEST, **own, "attempt": 1, "engine": "memory", "container": reference}


def _strange(world: World, strange: Strange) -> ContainerState:
    ours = {TASK: "t", ATTEMPT: "1", DEPLOYMENT: world.services.deployment}
    return _runs(world, *strange(ours))


@pytest.mark.parametrize("status", BEGUN)
@pytest.mark.parametrize("strange", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_container_that_is_not_the_tasks_is_neither_read_nor_ended(world: World, strange: Strange, status: State) -> None:
    """A task that would be running ends as one whose container is lost; the container stays as it is."""
    container = _strange(world, strange)
    if status is not State.RUNNING:
        world.engine.stop(container.id, 0)
    before = world.engine.inspect(container.id).phase
    world.services.store.insert(_forged(status, container))
    task = world.worker().run("t")
    assert task
    assert task.status in {State.FAILED, State.SUCCEEDED}
    assert status is not State.RUNNING or task.cause is Cause.CONTAINER_LOST
    assert {world.output(task, stream) for stream in Stream} == {b""}
    assert task.artifacts_stored == ()
    assert world.engine.inspect(container.id).phase is before


def test_a_cancellation_ends_no_container_that_is_not_the_tasks(world: World) -> None:
    """Nor does it wait for one."""
    container = _strange(world, STRANGERS["a container without labels"])
    world.services.store.insert(_forged(State.RUNNING, container) | {"cancel_requested_at": world.clock.time})
    task = world.worker().run("t")
    assert task
    assert (task.status, task.cause) == (State.FAILED, Cause.CANCELLED)
    assert world.engine.inspect(container.id).phase is Phase.RUNNING


def test_a_container_made_anew_under_the_name_is_not_the_one_that_was_started(world: World) -> None:
    """Though its labels are right."""
    process = Process([Fault("wait", 1, When.BEFORE, Killed())])
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(process).run("t")
    labels = dict(world.engine.inspect(NAME).labels)
    world.engine.remove(NAME, world.services.deployment)
    _runs(world, NAME, labels)
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert task.cause is Cause.CONTAINER_LOST


def test_who_made_the_container_asks_nothing_for_it(world: World) -> None:
    """Only an adoption costs a look."""
    process = Process()
    world.client.submit({**REQUEST, "limits": {"timeout": 1}}, "t")
    assert world.worker(process).run("t")
    assert "inspect" not in process.log[: process.log.index("wait")]


def test_a_name_that_another_deployment_has_is_not_taken_for_a_program_that_was_begun(world: World) -> None:
    """A new attempt, which has another name, is made; the broken one says why, and the other's container runs on."""
    container = _strange(world, STRANGERS["another deployment's"])
    world.client.submit({**REQUEST}, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.TIMED_OUT, 2)
    assert "other labels" in task.attempts[0].message
    assert world.engine.inspect(container.id).phase is Phase.RUNNING


def _waited(world: World, **labels: str) -> ContainerState:
    """A container of the task's name that had waited for its program, and whose log does not tell the task any more."""
    return _runs(world, NAME, {WARM: "orchestrator-warm-1-0", DEPLOYMENT: world.services.deployment, **labels})


def test_a_container_that_waited_is_known_by_its_stored_id(world: World) -> None:
    """And by its name and its deployment."""
    container = _waited(world)
    world.services.store.insert(_forged(State.RUNNING, container) | {"limits": {"timeout": 1}})
    task = world.worker().run("t")
    assert task
    assert (task.status, world.output(task, Stream.STDOUT)) == (State.TIMED_OUT, b"secret")


def test_a_container_that_waited_and_has_another_id_is_not_the_tasks(world: World) -> None:
    """Nor is one of another deployment."""
    container = _waited(world)
    document = _forged(State.RUNNING, container)
    world.services.store.insert(document | {"container": {"id": "another", "name": NAME, "engine": "memory"}})
    task = world.worker().run("t")
    assert task
    assert task.cause is Cause.CONTAINER_LOST


def test_a_container_that_waited_and_may_have_begun_is_not_begun_again(world: World) -> None:
    """Nobody knows: the attempt is broken, and the next one has another container."""
    world.client.submit({**REQUEST, "limits": {"timeout": 1}}, "t")
    process = Process([Fault("start", 1, When.BEFORE, Killed())])
    with pytest.raises(Killed):
        world.worker(process).run("t")
    world.engine.remove(NAME, world.services.deployment)
    container = _waited(world)
    world.expire_leases()
    assert world.services.store.claim("t", "dead", "token", 1, "memory")
    assert world.services.store.begin("t", "token", container.id, 1)
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.TIMED_OUT, 2)
    assert "nobody knows whether its program had begun" in task.attempts[0].message
