"""Which containers get a control group above their own, and that it goes with them."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.adapters.docker import cgroup_choice as docker_groups
from orchestrator.adapters.docker.cgroup import Cgroups, group_name
from orchestrator.adapters.docker.cgroup_choice import CgroupChoice
from orchestrator.adapters.docker.cgroup_parents import Slices, SlotSlices
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.errors import InfrastructureError
from tests.unit.adapters.docker.engine_stub import StubEngine, says

NAME = "orchestrator-t1-1"
OWN = {"GET /containers/c1/json": says(200, {"Id": "c1", "HostConfig": {"CgroupParent": ""}})}
HERE = {"Name": socket.gethostname(), "CgroupDriver": "cgroupfs"}


def _root(folder: Path) -> Path:
    (folder / "pids").mkdir(exist_ok=True)
    for name in ("tasks", "release_agent"):
        (folder / "pids" / name).touch()
    return folder


@pytest.mark.parametrize(
    ("info", "used"),
    [(HERE, True), ({**HERE, "CgroupDriver": "systemd"}, False), ({**HERE, "Name": "elsewhere"}, False), ({}, False)],
    ids=["cgroupfs, here", "systemd", "another host", "an engine that does not say"],
)
def test_groups_are_used_where_they_can_be_removed(tmp_path: Path, info: dict[str, str], *, used: bool) -> None:
    """Elsewhere the samples have to do."""
    with StubEngine(tmp_path, {"GET /info": says(200, info)}) as stub:
        assert CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(_root(tmp_path))).used is used


def test_a_group_that_stays_in_use_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, so that the task is not settled and the sweep comes back to it."""
    monkeypatch.setattr(docker_groups, "_SETTLE", 0.1)
    group = _root(tmp_path) / "pids" / group_name(NAME, "ours")
    group.mkdir()
    (group / "held").touch()
    with StubEngine(tmp_path, {"GET /info": says(200, HERE)}) as stub:
        groups = CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path))
        with pytest.raises(InfrastructureError, match="still in use"):
            groups.remove(NAME, "ours")
        assert [owned.name for owned in groups.owned("ours")] == [NAME]
        (group / "held").unlink()
        groups.remove(NAME, "ours")
        groups.remove(NAME, "ours")
    assert not group.exists()


def test_the_group_of_another_deployments_container_of_the_same_name_stays(tmp_path: Path) -> None:
    """It may still count."""
    ours, theirs = (_root(tmp_path) / "pids" / group_name(NAME, owner) for owner in ("ours", "theirs"))
    ours.mkdir()
    theirs.mkdir()
    with StubEngine(tmp_path, {"GET /info": says(200, HERE)}) as stub:
        CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path)).remove(NAME, "ours")
    assert (ours.exists(), theirs.exists()) == (False, True)


class _Refusing:
    """A service manager that says why not; None is one that does not answer."""

    def __init__(self, said: str | None) -> None:
        self.said = said
        self.asked = 0

    def refusal(self) -> str:
        """As asked for."""
        self.asked += 1
        if self.said is None:
            raise InfrastructureError("systemd", "away")
        return self.said


@pytest.mark.parametrize(
    ("refusal", "container", "way", "reason"),
    [
        ("", "", Slices, ""),
        ("no", "", SlotSlices, "no, so a peak is known only when it is the highest"),
        ("no", "c1", type(None), "no: the worker's container needs the bus, user 0"),
    ],
    ids=["root", "an ordinary user", "a container without the bus"],
)
def test_with_systemd_it_depends_on_who_may_stop_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str, container: str, way: type, reason: str
) -> None:
    """And says what is missing."""
    monkeypatch.setattr(docker_groups, "own_container", lambda: container)
    monkeypatch.setattr(docker_groups, "parent_of_container", lambda: "")
    (tmp_path / "cgroup.controllers").touch()
    with StubEngine(tmp_path, {"GET /info": says(200, {**HERE, "CgroupDriver": "systemd"}), **OWN}) as stub:
        groups = CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path), _Refusing(refusal))  # type: ignore[arg-type]
        assert isinstance(groups.parents, way)
        assert groups.reason.startswith(reason)
        assert bool(groups.reason) == bool(reason)


@pytest.mark.parametrize(
    ("info", "unified", "reason"),
    [
        ({**HERE, "Name": "elsewhere"}, True, "the engine runs on another host"),
        ({**HERE, "CgroupDriver": "systemd"}, False, "the engine's cgroup driver is systemd with cgroup v1"),
        ({**HERE, "CgroupDriver": "none"}, True, "the engine's cgroup driver is none"),
    ],
)
def test_where_there_is_none_the_reason_is_said(tmp_path: Path, info: Mapping[str, str], reason: str, *, unified: bool) -> None:
    """Figures are null then, never guessed."""
    if unified:
        (tmp_path / "cgroup.controllers").touch()
    else:
        _root(tmp_path)
    with StubEngine(tmp_path, {"GET /info": says(200, info)}) as stub:
        groups = CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path))
        assert not groups.used
        assert groups.reason.startswith(reason)
    assert CgroupChoice(DockerClient("tcp://127.0.0.1:1", 1.0), Cgroups(tmp_path)).reason.startswith(
        "the engine is reached over"
    )


def test_a_worker_in_a_container_of_the_engine_is_on_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its host name is another, but the engine knows its container."""
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(docker_groups, "own_container", lambda: "c1")
    monkeypatch.setattr(docker_groups, "parent_of_container", lambda: "tenant.slice")
    info = {"Name": "elsewhere", "CgroupDriver": "systemd"}
    with StubEngine(tmp_path, {"GET /info": says(200, info), **OWN}) as stub:
        groups = CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path), _Refusing(""))  # type: ignore[arg-type]
        assert isinstance(groups.parents, Slices)
        assert groups.parents.base == "tenant.slice"


def test_while_the_bus_is_away_it_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without it does not decide for the life of a worker; an ordinary user can do without."""
    monkeypatch.setattr(docker_groups, "own_container", lambda: "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "cgroup.controllers").touch()
    with StubEngine(tmp_path, {"GET /info": says(200, {**HERE, "CgroupDriver": "systemd"})}) as stub:
        units = _Refusing(None)
        groups = CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path), units)  # type: ignore[arg-type]
        assert (groups.parents, groups.reason.startswith("the system bus does not answer")) == (None, True)
        assert units.asked == 1
        groups._away_until -= docker_groups._ASK_AGAIN
        units.said = ""
        assert isinstance(groups.parents, Slices)
        groups.look_again()
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        units.said = None
        assert isinstance(groups.parents, SlotSlices)


def test_a_rootless_engine_has_groups_of_its_users_own(tmp_path: Path) -> None:
    """They are not where slices of the system are."""
    (tmp_path / "cgroup.controllers").touch()
    info = {**HERE, "CgroupDriver": "systemd", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    with StubEngine(tmp_path, {"GET /info": says(200, info)}) as stub:
        assert "rootless" in CgroupChoice(DockerClient(stub.url, 1.0), Cgroups(tmp_path)).reason


@pytest.mark.parametrize(
    ("groups", "parent"),
    [
        (f"0::/system.slice/docker-{'ab' * 32}.scope", ""),
        (f"0::/docker/{'ab' * 32}", ""),
        (f"0::/tenant.slice/docker-{'ab' * 32}.scope", "tenant.slice"),
        (f"0::/a.slice/a-b.slice/docker-{'ab' * 32}.scope", "a-b.slice"),
        ("0::/", None),
        ("4:memory:/docker/x", None),
    ],
)
def test_a_container_tells_where_its_engine_puts_containers(tmp_path: Path, groups: str, parent: str | None) -> None:
    """As long as it has no parent of its own and sees the groups of the host."""
    (tmp_path / "cgroup").write_text(groups + "\n")
    assert docker_groups.parent_of_container(tmp_path / "cgroup") == parent
    assert docker_groups.parent_of_container(tmp_path / "none") is None


def test_the_container_of_this_process_is_told_by_its_mounts(tmp_path: Path) -> None:
    """The engine mounts files of the container's into it."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"591 560 254:0 /var/lib/docker/containers/{'ab' * 32}/hostname /etc/hostname rw - ext4 /dev/vda rw\n")
    assert docker_groups.own_container(mounts) == "ab" * 32
    mounts.write_text(f"91 60 0:70 /var/lib/docker/containers/{'ab' * 32}/mounts/shm /dev/shm rw - tmpfs shm rw\n")
    assert docker_groups.own_container(mounts) == ""
    mounts.write_text("22 1 254:0 / / rw - ext4 /dev/vda rw\n")
    assert docker_groups.own_container(mounts) == docker_groups.own_container(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("config", "command", "parent"),
    [
        (None, None, ""),
        ("{}", None, ""),
        ("[]", None, None),
        ("not json", None, None),
        ('{"cgroup-parent": "/tenant/"}', None, "tenant"),
        ('{"cgroup-parent": "tenant.slice"}', None, "tenant.slice"),
        ("{}", ["dockerd", "--cgroup-parent=a.slice"], "a.slice"),
        ("{}", ["dockerd", "--cgroup-parent", "/b", "-H", "x"], "b"),
        ('{"cgroup-parent": "c"}', ["dockerd"], "c"),
    ],
)
def test_the_engines_own_parent_is_in_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, command: list[str] | None, parent: str | None
) -> None:
    """In the file or on the command line of the process that runs."""
    settings, pid = tmp_path / "daemon.json", tmp_path / "docker.pid"
    if config is not None:
        settings.write_text(config)
    if command is not None:
        pid.write_text(str(os.getpid()))
        (tmp_path / str(os.getpid())).mkdir()
        (tmp_path / str(os.getpid()) / "cmdline").write_bytes(b"\0".join(word.encode() for word in command))
        monkeypatch.setattr(docker_groups, "_PROC", tmp_path)
    assert docker_groups.default_parent(settings, pid) == parent


@pytest.mark.parametrize("is_noted", [True, False], ids=["pid file", "no pid file"])
def test_the_settings_that_the_engine_was_started_with_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_noted: bool
) -> None:
    """They, and its pid file, may be anywhere: then the process that listens at its socket is known."""
    settings, pid = tmp_path / "own.json", tmp_path / "docker.pid"
    settings.write_text('{"cgroup-parent": "limited.slice"}')
    (tmp_path / "77").mkdir()
    (tmp_path / "77/cmdline").write_bytes(b"\0".join([b"dockerd", b"--config-file", str(settings).encode(), b"-H", b"fd://"]))
    monkeypatch.setattr(docker_groups, "_PROC", tmp_path)
    if is_noted:
        pid.write_text("77\n")
    assert docker_groups.default_parent(tmp_path / "daemon.json", pid, lambda: None if is_noted else 77) == "limited.slice"
