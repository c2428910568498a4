"""Whose a name on the engine is, and what becomes of a create whose parts are removed meanwhile."""

from datetime import datetime

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import NOW, Answer, Script, Stage, container, refuses, says

CREATE = "POST /containers/create"


@pytest.mark.parametrize("beside", ["c1-files", "c1-out"])
def test_what_is_beside_a_container_of_another_deployment_is_not_removed(stage: Stage, beside: str) -> None:
    """Neither the helper nor its volume, and the same with our label are."""
    volume, helper = f"/volumes/{beside}", f"/containers/{beside}"
    labels = {"Name": beside, "Labels": {DEPLOYMENT: "ours"}}
    gone = {f"DELETE {volume}": says(204), "DELETE /containers/c1": says(204)}
    stub, engine = stage({f"GET {helper}/json": container("created"), f"GET {volume}": says(200, labels), **gone})
    engine.remove("c1", "theirs")
    assert [call for call in stub.calls if call.startswith("DELETE")] == []
    engine.remove("c1", "ours")
    assert [call for call in stub.calls if call.startswith("DELETE")] == ["DELETE /containers/c1", f"DELETE {volume}"]


def _volume(name: str, deployment: str = "ours") -> Answer:
    return says(201, {"Name": name, "Labels": {DEPLOYMENT: deployment}})


GONE = refuses(404, "No such container")
MADE = {CREATE: says(201, {"Id": "c1"})}
VOLUME = "POST /volumes/create"
LOADER = {**MADE, VOLUME: _volume("c2-files")}
HOLDER = {**MADE, VOLUME: _volume("c2-out")}
HOLDER_JSON, HOLDER_ARCHIVE = "GET /containers/c2-out/json", "PUT /containers/c2-out/archive"
HELD = {**HOLDER, "GET /info": says(200, {"ID": "engine", "SystemTime": NOW, "Architecture": "x86_64"})}


@pytest.mark.parametrize(
    ("fields", "script"),
    [
        ({"files": {"a": b"b"}}, LOADER | {"PUT /containers/c2-files/archive": GONE}),
        ({"files": {"a": b"b"}}, LOADER | {CREATE: refuses(409, "in use"), "GET /containers/c2-files/json": GONE}),
        ({"out": True}, HOLDER | {HOLDER_JSON: GONE}),
        ({"out": True}, HELD | {HOLDER_JSON: container("created"), HOLDER_ARCHIVE: GONE}),
        ({"out": True}, HELD | {HOLDER_JSON: container("created"), HOLDER_ARCHIVE: says(200)}),
    ],
    ids=["loader filled", "loader found", "holder made", "holder filled", "holder started"],
)
def test_what_is_removed_in_the_midst_of_a_create_is_infrastructure(
    stage: Stage, fields: dict[str, object], script: Script
) -> None:
    """Somebody prunes, or a stale worker tidies up; the same call may be made again."""
    _, engine = stage(script)
    with pytest.raises(InfrastructureError, match="was removed"):
        engine.create(Bench(engine).plan("true", name="c2", labels={DEPLOYMENT: "ours"}, **fields))


@pytest.mark.parametrize(
    ("fields", "script"),
    [
        (
            {"files": {"a": b"b"}},
            {
                VOLUME: _volume("c2-files", "mine"),
                CREATE: refuses(409, "in use"),
                "GET /containers/c2-files/json": container("created"),
            },
        ),
        ({"files": {"a": b"b"}}, LOADER),
        ({"out": True}, {VOLUME: _volume("c2-out", "mine"), CREATE: refuses(409, "in use"), HOLDER_JSON: container("running")}),
        ({"out": True}, HOLDER),
    ],
    ids=["loader", "volume of files", "holder", "volume of artifacts"],
)
def test_what_another_deployment_has_beside_a_container_of_that_name_is_not_written_to(
    stage: Stage, fields: dict[str, object], script: Script
) -> None:
    """The task waits, and is told whose name it is."""
    stub, engine = stage(script)
    with pytest.raises(InfrastructureError, match="another deployment"):
        engine.create(Bench(engine).plan("true", name="c2", labels={DEPLOYMENT: "mine"}, **fields))
    assert not [call for call in stub.calls if call.startswith("PUT")]


def test_what_was_made_by_a_clock_ahead_of_ours_has_no_age_yet(stage: Stage) -> None:
    """The engine's clock is known to half the time that reading it took, so a new container may seem to be of the future."""
    made = datetime.fromisoformat(NOW).timestamp() + 60
    listed = {"Id": "c1", "Names": ["/c1"], "Labels": {TASK: "t", ATTEMPT: "1"}, "Created": made}
    info = says(200, {"ID": "engine", "SystemTime": NOW})
    script = {"GET /info": info, "GET /containers/json": says(200, [listed]), "GET /volumes": says(200, {"Volumes": []})}
    _, engine = stage(script)
    assert [owned.age for owned in engine.owned("ours")] == [0]
