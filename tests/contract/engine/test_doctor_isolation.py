"""The doctor's probes, on Docker: all findings are ok for tasks, and each missing property is found."""

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from functools import partial
from typing import Any

import pytest

from orchestrator.adapters.docker import engine as docker_engine
from orchestrator.adapters.docker.cgroup_parents import Parent
from orchestrator.doctor import engine, isolation, report
from orchestrator.doctor.finding import Unfit
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import DEPLOYMENT
from orchestrator.task.limits import Limits
from orchestrator.testing.engine import MemoryEngine
from tests.support import pace
from tests.support.containers import IMAGE, WHERE, Bench, library

LOOSENED: Mapping[str, tuple[Mapping[str, object], Callable[[Any], str]]] = {
    "capabilities": ({"CapDrop": []}, report._privileges),
    "no-new-privileges": ({"SecurityOpt": []}, report._privileges),
    "seccomp": ({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, report._privileges),
    "init program": ({"Init": False}, report._init),
    "read-only root": ({"ReadonlyRootfs": False}, report._files),
    "a folder of the host": ({"Binds": ["/etc:/host:ro"]}, report._files),
    "the engine's socket": ({"Binds": ["/var/run/docker.sock:/var/run/docker.sock:ro"]}, report._files),
    "bounded /tmp": ({"Tmpfs": {"/tmp": "rw,mode=1777"}}, report._scratch),  # noqa: S108
    "masked paths": ({"MaskedPaths": [], "ReadonlyPaths": []}, report._masked),
    "ulimits": ({"Ulimits": []}, report._ulimits),
    "network": ({"NetworkDisabled": False, "NetworkMode": "host"}, report._network),
    "user": ({"User": "0:0"}, report._user),
    "environment": ({"Env": ["MONGO_URI=mongodb://me:secret@db"]}, report._variables),
    "no swap": ({"MemorySwap": 1 << 30}, report._swap),
    "swap without an end": ({"MemorySwap": -1}, report._swap),
    "memory limit": ({"Memory": 1 << 29, "MemorySwap": 1 << 29}, isolation._memory),
    "bounded /out": ({"Tmpfs": {"/out": "rw,mode=1777"}, "Mounts": []}, isolation._out),
    "the engine's log": ({"LogConfig": {"Type": "json-file"}}, isolation._log),
    "a bound of the engine's log": ({"LogConfig": {"Type": "local"}}, isolation._log),
    "IPC": ({"IpcMode": "host"}, isolation._apart),
    "processes": ({"PidMode": "host"}, isolation._apart),
    "process limit": ({"PidsLimit": 100}, isolation._processes),
    "CPU limit": ({"NanoCpus": 10**9}, isolation._ending),
}  # fmt: skip
OUTSIDE = {"NetworkDisabled", "User", "Env"}
DESCRIBE = partial(engine.described, WHERE)


def _probe(docker: Bench) -> isolation.Probe:
    return isolation.Probe(docker.engine, IMAGE, Settings(), DESCRIBE, pace.slowness())


def _loosen(monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, object]) -> None:
    tight = docker_engine.container_config

    def loose(*arguments: Any) -> dict[str, Any]:
        config = dict(tight(*arguments))
        inner = {name: value for name, value in changes.items() if name not in OUTSIDE}
        outer = {name: value for name, value in changes.items() if name in OUTSIDE}
        return {**config, **outer, "HostConfig": {**config["HostConfig"], **inner}}

    monkeypatch.setattr(docker_engine, "container_config", loose)


def test_as_tasks_are_run_every_property_holds_and_nothing_is_left(docker: Bench) -> None:
    """On this engine, with the default settings."""
    findings = list(isolation.check(docker.engine, IMAGE, Settings(), DESCRIBE))
    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) == 1 + len(report.PROPERTIES) + len(isolation._LIMITS)
    with library() as client:
        assert client.containers.list(all=True, ignore_removed=True, filters={"name": "orchestrator-doctor"}) == []


@pytest.mark.parametrize(("group", "source"), [(None, "cgroup v?"), ("", "cgroup v?, while it ran")], ids=["ours", "systemd"])
def test_it_says_where_figures_are_from(docker: Bench, monkeypatch: pytest.MonkeyPatch, group: str | None, source: str) -> None:
    """With the worker's group they are exact. Without one, as with the driver systemd, they are those of the last look."""
    if os.geteuid() != 0:
        pytest.skip("who is not root may not see the engine's processes: run the tests as root")
    if group is not None:
        monkeypatch.setattr(docker.engine._groups, "parent", lambda _: Parent(group))
    said = isolation._counted(_probe(docker))
    assert fnmatch(said, f"from {source}; full folders are told"), said


@pytest.mark.parametrize("what", LOOSENED)
def test_what_is_taken_away_is_missed(docker: Bench, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Each check fails for its own reason."""
    changes, judge = LOOSENED[what]
    _loosen(monkeypatch, changes)
    probe = _probe(docker)
    if judge in {run for _, _, run in isolation._LIMITS}:
        with pytest.raises(Unfit):
            judge(probe)
        for left in docker.engine.owned(isolation._PROBES):  # a container without /out does not tell that one holds it
            docker.engine.remove(left.name, isolation._PROBES)
        return
    told = report.read_report(probe.run(report.SCRIPT)[1], Settings().rules.defaults)
    with pytest.raises(Unfit):
        judge(told)


def test_an_image_without_a_shell_is_said_to_be_none(docker: Bench) -> None:
    """One finding, with the advice."""
    (finding,) = isolation.check(docker.engine, "no-such-image:1", Settings(), DESCRIBE)
    assert not finding.ok
    assert "--image" in finding.advice


@pytest.mark.usefixtures("docker")
def test_without_an_image_the_isolation_is_not_said_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The isolation was not shown, and the advice says what to do."""
    monkeypatch.setattr(engine, "IMAGE", "no-such-image:1")
    *_, last = engine.check(Settings(docker_host=WHERE))
    assert (last.check, last.ok) == ("image", False)
    assert "nothing of the isolation is shown" in last.found
    assert "docker pull no-such-image:1" in last.advice


def test_a_probe_can_be_found_by_a_later_doctor(docker: Bench) -> None:
    """Its labels name its owner and its age, whatever ended the doctor that made it."""
    probe = _probe(docker)
    left = docker.plan("true", labels=probe._plan("true", Settings().rules.defaults).labels)
    docker.engine.create(left)
    (found,) = (owned for owned in docker.engine.owned(isolation._PROBES) if owned.name == left.name)
    assert 0 <= found.age < isolation._LEFT
    docker.engine.remove(left.name, isolation._PROBES)
    assert left.name not in {owned.name for owned in docker.engine.owned(isolation._PROBES)}


@pytest.mark.parametrize(("age", "stays"), [(isolation._LEFT - 1, True), (isolation._LEFT + 1, False)])
def test_what_a_killed_doctor_left_is_removed_when_it_is_old(age: float, *, stays: bool) -> None:
    """A young probe may belong to another running doctor. Other containers are left alone."""
    memory = MemoryEngine()
    bench = Bench(memory)
    probe = bench.plan("true", labels=isolation.Probe(memory, IMAGE, Settings(), DESCRIBE)._plan("true", Limits()).labels)
    task = bench.plan("true", labels={**probe.labels, DEPLOYMENT: "another"})
    for plan in (probe, task):
        memory.create(plan)
    memory.age_of_owned = age
    list(isolation.check(memory, IMAGE, Settings(), DESCRIBE))
    assert memory.containers == {task.name, *[probe.name] * stays}
