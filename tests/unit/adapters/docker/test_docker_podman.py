"""What Podman answers in another way than Docker: each answer is that of Podman 4.3."""

from secrets import token_hex

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.given_id import VOLUME
from orchestrator.errors import InfrastructureError, TaskFailure
from orchestrator.ports import Created
from orchestrator.task.labels import DEPLOYMENT, ENGINE
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import NOW, Handler, Stage, container, refuses, says

CREATE, INSPECT, MAKE = "POST /containers/create", "GET /containers/c1/json", "POST /volumes/create"
TAKEN = (
    'container create: creating container storage: the container name "c1" is already in use by 29b2417. You have to remove '
    "that container to be able to reuse that name: that name is already in use"
)


def describes_itself(handler: Handler) -> None:
    """As Podman does: with a new id each time."""
    says(200, {"ID": token_hex(8), "SystemTime": NOW, "BuildahVersion": "1.28.2", "Architecture": "amd64"})(handler)


def test_a_name_that_is_taken_is_adopted_though_the_status_is_500(stage: Stage) -> None:
    """After a create whose reply was lost."""
    _, engine = stage({CREATE: refuses(500, TAKEN), INSPECT: container("running")})
    assert engine.create(Bench(engine).plan("true", name="c1", labels={"task": "t1"})) == Created("c1", adopted=True)


def test_all_workers_know_an_engine_by_one_id_that_it_was_given(stage: Stage) -> None:
    """It is the label of a volume: a task that a dead worker began here is adopted by the next one."""
    stub, engine = stage({"GET /info": describes_itself, MAKE: says(201, {"Name": VOLUME, "Labels": {ENGINE: "given"}})})
    other = DockerEngine(stub.url)
    assert engine.identity() == engine.identity() == other.identity() == "given"
    assert stub.calls.count(MAKE) == 2
    other.close()


def test_a_volume_of_that_name_without_an_id_is_not_believed(stage: Stage) -> None:
    """Somebody else made it."""
    bare = says(201, {"Name": VOLUME, "Labels": {}})
    _, engine = stage({"GET /info": describes_itself, MAKE: bare, f"GET /volumes/{VOLUME}": bare})
    with pytest.raises(InfrastructureError, match=f"{VOLUME}.*remove it"):
        engine.identity()


def test_machines_have_the_names_of_the_kernel(stage: Stage) -> None:
    """For which there is a program that keeps the folder of artifacts."""
    _, engine = stage({"GET /info": describes_itself})
    assert engine._client.facts.architecture == "x86_64"


@pytest.mark.parametrize("beside", ["files", "out"])
def test_a_volume_whose_container_is_refused_is_removed(stage: Stage, beside: str) -> None:
    """The volume is made first, because Podman would make it without its labels."""
    fields = {"files": {"a": b"b"}} if beside == "files" else {"out": True}
    volume = f"/volumes/c1-{beside}"
    script = {MAKE: says(201, {"Labels": {DEPLOYMENT: "ours"}}), CREATE: refuses(400, "no"), f"DELETE {volume}": says(204)}
    stub, engine = stage(script)
    with pytest.raises(TaskFailure):
        engine.create(Bench(engine).plan("true", name="c1", labels={DEPLOYMENT: "ours"}, **fields))
    assert stub.calls[-1] == f"DELETE {volume}"
