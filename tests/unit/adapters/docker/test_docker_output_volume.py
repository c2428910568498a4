"""The pause container of /out: what is told when it does not start, or has ended; on a scripted engine."""

import pytest

from orchestrator.adapters.docker.engine_facts import facts_of
from orchestrator.adapters.docker.output_volume import pause_runtime
from orchestrator.errors import ContainerMissing, InfrastructureError, TaskFailure
from orchestrator.ports import Created
from orchestrator.task.labels import DEPLOYMENT
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import NOW, Answer, Script, Stage, container, refuses, says

PAUSE = "/containers/c2-out"
REFUSED = refuses(400, "OCI runtime create failed: BPF_PROG_ATTACH: no such file or directory")
KILLED = {"ExitCode": 137, "OOMKilled": True}


def engine_with(looks: list[Answer], start: Answer, image: Answer | None = None) -> Script:
    """An engine that starts the pause container as ``start`` says, and describes it one look after the other."""
    return {
        "GET /info": says(200, {"ID": "engine", "SystemTime": NOW, "Architecture": "x86_64"}),
        "GET /images/orchestrator-busybox:1/json": image or refuses(404, "no such image"),
        "POST /volumes/create": says(201, {"Name": "c2-out", "Labels": {DEPLOYMENT: "ours"}}),
        "GET /containers/c2/json": refuses(404, "No such container"),
        "POST /containers/create": says(201, {"Id": "c1"}),
        f"GET {PAUSE}/json": looks,
        f"PUT {PAUSE}/archive": says(200),
        f"POST {PAUSE}/start": start,
    }


def create(stage: Stage, script: Script) -> Created:
    """Make the container of a task with artifacts."""
    _, engine = stage(script)
    return engine.create(Bench(engine).plan("true", name="c2", labels={DEPLOYMENT: "ours"}, out=True))


def test_a_pause_container_that_does_not_start_is_infrastructure(stage: Stage) -> None:
    """Its limits and its program are not the task's, whatever status the engine gives."""
    with pytest.raises(InfrastructureError, match="BPF_PROG_ATTACH"):
        create(stage, engine_with([container("created")], REFUSED))


def test_a_volume_of_the_image_that_cannot_be_covered_is_the_tasks_fault(stage: Stage) -> None:
    """As it would be in the task's own container."""
    image = says(200, {"Config": {"Volumes": {"/etc/passwd": {}}}})
    with pytest.raises(TaskFailure, match="not a directory"):
        create(stage, engine_with([container("created")], refuses(400, "/etc/passwd: not a directory"), image))


def test_a_pause_container_that_ends_at_once_is_infrastructure(stage: Stage) -> None:
    """No program begins that would write to a folder nobody keeps."""
    with pytest.raises(InfrastructureError, match=r"ended as it started \(exit code 137, killed for memory\)"):
        create(stage, engine_with([container("created"), container("exited", **KILLED)], says(204)))


def test_a_pause_container_that_runs_is_all_that_is_wanted(stage: Stage) -> None:
    """Then the task's own container is made."""
    assert create(stage, engine_with([container("created"), container("running")], says(204))).adopted is False


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        ("exited", KILLED, "exit code 137, killed for memory"),
        ("exited", {"ExitCode": 137}, "exit code 137"),
        ("exited", {"ExitCode": 255, "Error": "the shim died"}, "exit code 255, the shim died"),
        ("created", {}, "it never ran"),
        ("created", {"ExitCode": 128, "Error": "no space left"}, "no space left"),
    ],
)
def test_a_folder_that_is_lost_is_told_with_the_reason(stage: Stage, status: str, state: dict[str, object], why: str) -> None:
    """In the words and figures of the engine."""
    _, engine = stage(engine_with([container(status, **state)], says(204)))
    with pytest.raises(ContainerMissing, match=f"the container that held /out has ended .{why}., so its files are gone"):
        next(engine.archive("c2"))


@pytest.mark.parametrize(
    ("default", "runtimes", "chosen"),
    [
        ("runc", {"runc", "runsc"}, None),
        ("/usr/bin/crun", {"crun", "runc"}, None),
        ("runsc", {"runc", "runsc"}, "runc"),
        ("runsc", {"runsc"}, None),
    ],
)
def test_the_pause_container_has_no_sandbox_where_it_can_do_without(
    default: str, runtimes: set[str], chosen: str | None
) -> None:
    """A sandbox has more processes and needs more memory than the pause container may have."""
    facts = facts_of({"DefaultRuntime": default, "Runtimes": {name: {} for name in runtimes}}, "1.41")
    assert pause_runtime(facts) == chosen
