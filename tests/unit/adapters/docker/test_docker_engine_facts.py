"""What an engine says of itself, read in one place."""

from pathlib import Path
from typing import Any

import pytest
from attrs import asdict

from orchestrator.adapters.docker.engine_facts import facts_of, log_keeps_newlines
from orchestrator.doctor import engine as doctor
from orchestrator.doctor.finding import Unfit
from orchestrator.settings.settings import Settings
from tests.unit.adapters.docker.engine_stub import NOW, Stage, says

ROOT = Path(__file__).parents[4]
DOCKER: dict[str, Any] = {
    "ID": "ABCD", "ServerVersion": "28.5.2", "Name": "host", "KernelVersion": "6.12.1", "Architecture": "x86_64", "NCPU": 2,
    "MemTotal": 1 << 30, "Driver": "overlay2", "CgroupDriver": "systemd", "CgroupVersion": "2", "MemoryLimit": True,
    "CpuCfsQuota": True, "PidsLimit": True, "Runtimes": {"runc": {}, "runsc": {}}, "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"], "SystemTime": NOW, "RuncCommit": {"ID": "c0ffee"},
}  # fmt: skip
PODMAN: dict[str, Any] = DOCKER | {
    "ServerVersion": "4.3.1", "Architecture": "amd64", "Driver": "vfs", "CgroupDriver": "cgroupfs", "CgroupVersion": "1",
    "SwapLimit": True, "Runtimes": {"crun": {}}, "DefaultRuntime": "crun", "Rootless": True, "RuncCommit": {"ID": ""},
}  # fmt: skip


def test_the_doctor_shows_it_in_a_line() -> None:
    """Version, API, control groups, storage, default runtime, machine, and how it runs."""
    assert str(facts_of(DOCKER, "1.51")) == "28.5.2, API 1.51, cgroup v2 by systemd, overlay2, runc, x86_64"
    assert str(facts_of(PODMAN, "1.41")) == "4.3.1, API 1.41, cgroup v1 by cgroupfs, vfs, crun, x86_64, rootless"


@pytest.mark.parametrize(
    ("changes", "unlimited"),
    [
        ({}, []),
        ({"CgroupVersion": "1"}, ["swap"]),
        ({"CgroupVersion": "1", "SwapLimit": True}, []),
        ({"MemoryLimit": False, "CpuCfsQuota": False, "PidsLimit": False}, ["memory", "CPU", "process"]),
    ],
)
def test_limits_that_an_engine_cannot_keep_are_named(changes: dict[str, Any], unlimited: list[str]) -> None:
    """Version 2 of control groups limits swap, though engines do not say so."""
    facts = facts_of(DOCKER | changes, "1.51")
    assert facts.unlimited == unlimited
    if unlimited:
        with pytest.raises(Unfit, match=unlimited[0]):
            doctor._limits(facts)


@pytest.mark.parametrize(("api", "keeps"), [("1.41", False), ("1.42", True), ("1.100", True)])
def test_whether_a_log_keeps_newlines_follows_from_the_api(api: str, *, keeps: bool) -> None:
    """Compared as numbers."""
    assert log_keeps_newlines(api) is keeps


@pytest.mark.parametrize("name", ["ID", "ServerVersion", "KernelVersion", "CgroupDriver", "CgroupVersion", "RuncCommit"])
def test_another_engine_is_of_another_kind(name: str) -> None:
    """So that what was measured on one is not taken for the other."""
    other = facts_of(DOCKER | {name: {"ID": "x"} if name == "RuncCommit" else "x"}, "1.51")
    assert other.kind != facts_of(DOCKER, "1.51").kind


def test_an_engine_that_says_little_is_described_by_what_it_says() -> None:
    """No field is needed to read the others."""
    assert set(asdict(facts_of({}, "1.41"))) == set(asdict(facts_of(DOCKER, "1.41")))


def test_what_stays_is_asked_once_and_what_changes_each_time(stage: Stage) -> None:
    """The same client serves all parts of the adapter."""
    stub, engine = stage({"GET /info": says(200, DOCKER)})
    client = engine._client
    assert [client.facts.architecture, client.facts.id, engine.identity(), engine.identity()] == ["x86_64", "ABCD"] + [
        "ABCD"
    ] * 2
    assert stub.calls.count("GET /info") == 1
    engine.host()
    engine.host()
    assert stub.calls.count("GET /info") == 3


def test_a_runtime_that_the_engine_does_not_have_is_found_by_the_doctor() -> None:
    """As is one that it has."""
    facts = facts_of(DOCKER, "1.51")
    assert doctor._runtimes(facts, Settings(runtime="runsc")) == "runsc; tasks may choose runsc"
    with pytest.raises(Unfit, match="kata"):
        doctor._runtimes(facts, Settings(runtimes_allowed=frozenset({"kata"})))


def test_nothing_else_reads_the_description_or_compares_versions_of_the_engine() -> None:
    """One place: each new question becomes a fact there."""
    words = ("api.info(", "ServerVersion", "CgroupDriver", "SecurityOptions", "LiveRestoreEnabled", "KernelVersion")
    places = {
        path.name
        for package in ("adapters/docker", "doctor")
        for path in (ROOT / "orchestrator" / package).glob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in words)
    }
    assert places == {"client.py", "engine_facts.py"}
