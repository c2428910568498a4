"""Whole tasks on the real engine, all other services in memory: the verdict, its evidence and the metrics."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from attrs import define, evolve

from orchestrator.adapters.docker import engine as engine_module
from orchestrator.app import Services
from orchestrator.cause import Cause
from orchestrator.client import Client
from orchestrator.output.ring_file import marker
from orchestrator.ports import EngineEvents, Host, Phase, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.codec import to_document
from orchestrator.task.document import Task
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import State
from tests.support import pace
from tests.support.containers import IMAGE, PATIENCE, Bench, library
from tests.support.faults import Fault, Guarded, Killed, Process, When
from tests.support.noise import Noise
from tests.support.tasks import entries
from tests.support.worker_process import until

MEBI = 1 << 20


@define
class Place:
    """A worker's services."""

    services: Services
    client: Client
    counts: bool
    counts_after_the_end: bool

    def run(self, script: str, **request: Any) -> Task:
        """A shell script as a task, to its end."""
        task = self.client.submit({"image": IMAGE, "command": script, **request})
        ended = self.services.runner.run(task.id)
        assert ended is not None
        return ended

    def output(self, task: Task) -> bytes:
        """Its stdout."""
        return b"".join(self.client.logs(task.id, Stream.STDOUT))


@pytest.fixture
def place(docker: Bench, tmp_path: Path) -> Iterator[Place]:
    """Fresh services on the engine; afterwards nothing is left of any task."""
    services = Services(
        Settings(spool_dir=tmp_path, stop_grace=0.5),
        MemoryTaskStore(lambda: datetime.now(UTC)),
        MemoryEventBus(),
        MemoryQueue(),
        MemoryObjectStore(),
        docker.engine,
        MemoryLock(),
    )
    client = Client(services)
    groups = docker.engine._groups
    yield Place(services, client, groups.used, groups.used and groups._cgroups.unified)
    assert docker.engine.owned(services.deployment) == []


def test_a_kill_for_memory_that_the_engine_does_not_tell_of_is_oom(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With version 1 of control groups, a busy engine loses the kernel's notice of one in six."""
    read = engine_module.container_state
    monkeypatch.setattr(engine_module, "container_state", lambda *args: evolve(read(*args), oom_killed=False))
    monkeypatch.setattr(type(place.services.engine), "noted", lambda *_: EngineEvents())
    for _ in range(5):
        task = place.run("exec dd if=/dev/zero of=/tmp/x bs=1M", limits={"memory": 32 * MEBI})
        assert (task.cause, task.exit_code) == (Cause.OOM, 137)


def test_cpu_time_is_limited_apart_from_wall_time(place: Place) -> None:
    """Ended soon after it has used it, by two processes together."""
    limits = {"cpu_time": 0.6, "cpus": 1, "timeout": pace.seconds(30)}
    task = place.run("(while :; do :; done) & while :; do :; done", limits=limits)
    assert (task.status, task.cause, task.evidence["ended_for"]) == (State.TIMED_OUT, Cause.TIMEOUT, "cpu_time")
    assert task.metrics
    if place.counts:
        assert task.metrics.cpu_time_s is not None
        assert 0.6 <= task.metrics.cpu_time_s < 0.6 + pace.seconds(0.9)


def test_a_peak_of_a_moment_is_in_the_metrics(place: Place) -> None:
    """Though there is no sample."""
    task = place.run("x=$(head -c 20000000 /dev/zero | tr '\\0' a); unset x")
    assert (task.status, task.metrics is not None) == (State.SUCCEEDED, True)
    if place.counts:
        assert task.metrics
        assert task.metrics.memory_peak_bytes is not None
        assert task.metrics.memory_peak_bytes > 20 * MEBI
        assert task.metrics.source["memory_peak_bytes"].startswith("cgroup v")


def test_a_child_killed_for_memory_does_not_fail_a_program_that_exits_0(place: Place) -> None:
    """The evidence says that it was."""
    task = place.run("sh -c 'tail /dev/zero'; exit 0", limits={"memory": "32m"})
    assert (task.status, task.evidence["oom_killed"], task.evidence["ended_by"]) == (State.SUCCEEDED, True, "program")


def test_the_least_memory_that_is_accepted_runs_or_is_refused_in_one_sentence(place: Place) -> None:
    """At the first attempt, whatever the engine's runtime needs before the program begins."""
    task = place.run("true", limits={"memory": "6m"})
    refused = task.status is State.FAILED
    assert (task.cause, task.attempt <= 1, task.attempts) == (Cause.INVALID if refused else None, True, ())
    assert (task.message or "").startswith("limits.memory: 6 MiB is below ") is refused


def test_the_limit_of_processes_is_evidence(place: Place) -> None:
    """However the program ends."""
    task = place.run("for i in $(seq 60); do sleep 60 & done 2>/dev/null; true", limits={"pids": 20})
    if place.counts:
        assert task.evidence["pids_limit"] == {"limit": 20, "refused": None} or task.evidence["pids_limit"]["refused"] > 0


@pytest.mark.parametrize(
    ("script", "exit_code", "cause", "oom", "ended_by"),
    [
        ("exec tail /dev/zero", 137, Cause.OOM, True, "kernel"),
        ("tail /dev/zero; exit 0", 0, None, True, "program"),
        ("tail /dev/zero; exit 7", 7, Cause.OOM, True, "program"),
        ("tail /dev/zero; exit 137", 137, Cause.OOM, True, "kernel"),
        ("sh -c 'kill -9 $$'; exit 0", 0, None, False, "program"),
        ("sh -c 'kill -9 $$'; exit 7", 7, Cause.EXIT, False, "program"),
        ("exit 137", 137, Cause.SIGNAL, False, "unknown"),
        ("kill -9 $$", 137, Cause.SIGNAL, False, "unknown"),
    ],
)
def test_a_kill_for_memory_is_told_from_any_other(
    place: Place, script: str, exit_code: int, cause: Cause | None, ended_by: str, *, oom: bool
) -> None:
    """A kill of the program or of a child, with any exit code of the program. The kernel's count decides."""
    task = place.run(script, limits={"memory": "32m"})
    assert (task.exit_code, task.cause, task.evidence["oom_killed"], task.evidence["ended_by"]) == (
        exit_code,
        cause,
        oom,
        ended_by,
    )
    kills = task.evidence["counted"].get("oom_kills")
    assert kills is None or (kills > 0) == oom
    if place.counts_after_the_end:
        assert kills is not None


def test_the_figures_of_a_program_of_a_moment_are_exact(place: Place) -> None:
    """There was no sample of it; what could not be read says why."""
    task = place.run("exit 3")
    assert task.metrics
    for figure in ("cpu_time_s", "memory_peak_bytes", "pids_peak"):
        assert getattr(task.metrics, figure) is not None or figure in task.metrics.missing
        if place.counts:
            assert task.metrics.source[figure] in {"cgroup v1", "cgroup v2"}
    assert task.metrics.samples == 0
    assert (task.metrics.throttled_s is None) == ("throttled_s" in task.metrics.missing)


@pytest.mark.parametrize(
    ("script", "ended_by"), [("kill -9 $$", "unknown"), ("kill -11 $$", "program"), ("tail /dev/zero", "kernel")]
)
def test_who_ended_it_is_evidence(place: Place, script: str, ended_by: str) -> None:
    """The program itself or the kernel."""
    task = place.run(script, limits={"memory": "32m"})
    assert (task.status, task.evidence["ended_by"]) == (State.FAILED, ended_by)


@pytest.mark.parametrize("script", ["exit 137", "kill -9 $$"])
def test_an_exit_with_137_is_not_told_as_a_kill(place: Place, script: str) -> None:
    """The two cannot be distinguished, and the message says so."""
    task = place.run(script)
    assert task.message == "the program ended with status 137: by SIGKILL, or by an exit with that status"
    assert (task.cause, task.evidence["ended_by"], task.finished_by) == (Cause.SIGNAL, "unknown", place.services.settings.name)


def test_no_sample_is_above_the_peak_of_memory(place: Place) -> None:
    """There is one figure for the most memory, and its source is named."""
    task = place.run(f"x=$(head -c 20000000 /dev/zero | tr '\\0' a); sleep {pace.seconds(3)}")
    assert task.metrics
    assert task.metrics.memory_bytes
    assert task.metrics.memory_bytes.max == task.metrics.memory_peak_bytes
    assert task.metrics.source["memory_bytes.max"] == task.metrics.source["memory_peak_bytes"]


def test_a_program_that_passes_its_limit_and_kills_itself_was_ended_by_the_worker_only_if_that_was_faster(place: Place) -> None:
    """The sentence and the evidence say the same."""
    task = place.run("head -c 1001 /dev/zero; kill -9 $$", limits={"output": 1000})
    assert (task.cause, task.exit_code) == (Cause.OUTPUT_LIMIT, 137)
    assert ("was ended" in task.message, "had ended" in task.message) in {(True, False), (False, True)}
    assert task.evidence["ended_by"] == ("worker" if "was ended" in task.message else "unknown")


def test_a_kill_by_another_client_of_the_engine_is_told_from_the_programs_own(place: Place) -> None:
    """The exit code is the same."""
    task = place.client.submit({"image": IMAGE, "command": "sleep 60"})
    running = Thread(target=place.services.runner.run, args=(task.id,))
    running.start()
    until(lambda: place.client.get(task.id).status is State.RUNNING, 30)
    with library() as client:
        client.containers.get(place.client.get(task.id).container.id).kill("SIGKILL")
    running.join(PATIENCE)
    ended = place.client.get(task.id)
    assert (ended.cause, ended.exit_code, ended.evidence["ended_by"]) == (Cause.SIGNAL, 137, "engine")
    assert ended.evidence["engine_signals"] == ["SIGKILL"]


def test_both_ends_of_a_flood_are_kept_by_choice(place: Place) -> None:
    """The program goes on to its own end."""
    whole = b"".join(b"%d\n" % number for number in range(1, 200001))
    task = place.run("seq 1 200000", limits={"output": 1000}, on_output_limit="drop_middle")
    assert task.logs
    assert (task.status, task.logs.stdout.dropped) == (State.SUCCEEDED, len(whole) - 1000)
    assert place.output(task) == whole[:500] + marker(len(whole) - 1000) + whole[-500:]


@pytest.mark.parametrize("limits", [{"cpus": 63}, {"memory": "4g"}], ids=["CPUs", "memory"])
def test_more_than_the_host_has_is_refused(place: Place, limits: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made, with cause invalid."""
    monkeypatch.setattr(place.services.engine, "host", lambda: Host(2, 1 << 30))
    task = place.run("true", limits=limits)
    assert (task.status, task.cause) == (State.FAILED, Cause.INVALID)
    assert "the engine's host has" in task.message


def test_a_forged_document_reaches_no_container_of_anybody_else(place: Place, docker: Bench) -> None:
    """It looks as if a worker had started that one: it is neither read nor ended at the time limit."""
    container = docker.start("echo secret; exec sleep 1000")
    engine = docker.engine.identity()
    reference = {"id": container, "name": docker.names[-1], "engine": engine}
    begun = {"status": "running", "seq": 1, "history": to_document({"h": entries()[:1]})["h"], "attempt": 1}
    request = {"image": IMAGE, "command": "true", "limits": {"timeout": 0.5}}
    place.services.store.insert({"_id": "forged", **request, **begun, "engine": engine, "container": reference})
    task = place.services.runner.run("forged")
    assert task
    assert (task.status, task.cause, place.output(task)) == (State.FAILED, Cause.CONTAINER_LOST, b"")
    assert docker.engine.inspect(container).phase is Phase.RUNNING


@pytest.mark.usefixtures("place")
def test_a_group_that_a_dead_worker_left_is_found_and_removed(docker: Bench) -> None:
    """Its container is gone, so only its name tells whose it was."""
    if os.geteuid() != 0:
        pytest.skip("a user who is not root makes no group for each container: run the tests as root")
    labels = {"orchestrator.task": "t-9", "orchestrator.task.attempt": "2", "orchestrator.deployment": "elsewhere"}
    plan = docker.plan("true", name="orchestrator-t-9-2", labels=labels)
    docker.run_plan(plan)
    with library() as client:
        client.containers.get(plan.name).remove()
    (left,) = docker.engine.owned("elsewhere")
    assert (left.name, left.task_id, left.attempt) == (plan.name, "t-9", 2)
    assert docker.engine.owned("another") == []
    docker.remove(plan)
    assert docker.engine.owned("elsewhere") == []


FORGOTTEN = 512
"""More events than an engine remembers."""


@pytest.mark.parametrize(
    ("script", "limits", "about"),
    [
        ("exec sleep 600", {"timeout": 1}, "after its time limit of 1 s"),
        ("trap '' TERM; while :; do :; done", {"cpu_time": 0.5, "timeout": 60}, "after it had used its CPU time of 0.5 s"),
        ("while echo; do :; done", {"output": "1k"}, "because a stream passed its limit of 1 KiB"),
    ],
)
def test_who_takes_over_an_ended_program_knows_so_from_an_engine_that_has_forgotten_it(
    place: Place, script: str, limits: dict[str, Any], about: str
) -> None:
    """Its worker died as soon as the program was dead, and hundreds of events later another asks."""
    services = place.services
    process = Process([Fault("stop", 1, When.AFTER, Killed())])
    ports = {name: Guarded(process, getattr(services, name)) for name in ("store", "engine")}
    dying = Services(**{**_adapters(services), **ports})
    task = place.client.submit({"image": IMAGE, "command": script, "limits": limits})
    with suppress(Killed):
        dying.runner.run(task.id)
    until(lambda: place.client.get(task.id).ending is not None, pace.seconds(10))
    with Noise(0) as noise:
        noise.burst(FORGOTTEN)
    lease = place.client.get(task.id).lease
    assert lease
    services.store.let_go(task.id, lease.token)
    ended = services.runner.run(task.id)
    assert ended
    assert (ended.message, ended.evidence["ended_by"]) == (f"the program was ended {about}", "worker")


def _adapters(services: Services) -> dict[str, Any]:
    names = ("settings", "store", "events", "queue", "logs", "engine", "lock")
    return {name: getattr(services, name) for name in names}
