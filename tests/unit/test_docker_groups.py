"""Which containers get a control group of their own, and that it goes with them."""

import socket
from pathlib import Path

import pytest

from orchestrator.adapters import docker_groups
from orchestrator.adapters.cgroup import Cgroups, group_name
from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_groups import Groups
from orchestrator.errors import InfrastructureError
from tests.support.engine_stub import StubEngine, says

NAME = "orchestrator-t1-1"
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
        assert Groups(DockerClient(stub.url, 1.0), Cgroups(_root(tmp_path))).used is used


def test_a_group_that_stays_in_use_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, so that the task is not settled and the sweep comes back to it."""
    monkeypatch.setattr(docker_groups, "_SETTLE", 0.1)
    group = _root(tmp_path) / "pids" / group_name(NAME, "ours")
    group.mkdir()
    (group / "held").touch()
    with StubEngine(tmp_path, {"GET /info": says(200, HERE)}) as stub:
        groups = Groups(DockerClient(stub.url, 1.0), Cgroups(tmp_path))
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
        Groups(DockerClient(stub.url, 1.0), Cgroups(tmp_path)).remove(NAME, "ours")
    assert (ours.exists(), theirs.exists()) == (False, True)
