"""Figures of a container from its host, with files as the kernel writes them and with processes of the test."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.docker.cgroup import Cgroups
from orchestrator.adapters.docker.host_probe import HostProbe
from orchestrator.ports import Counters, Figure
from tests.support.worker_process import until

TMPFS = dict.fromkeys(["/tmp", "/dev/shm", "/data", "/far/away"], "rw,size=8192,nr_inodes=16")  # noqa: S108
READING: dict[str, Any] = {"Id": "c1", "HostConfig": {"Tmpfs": TMPFS, "Init": True}}
SCOPE = "system.slice/docker-c1.scope"
OWN = {"cpu.stat": "usage_usec 1500000\nthrottled_usec 0\n", "memory.peak": "4096\n", "pids.peak": "3\n"}


def _group(root: Path, group: str, process: object, files: dict[str, str] = OWN) -> Cgroups:
    """A host with version 2 of control groups, where a process is in the group."""
    (root / "cgroup.controllers").touch()
    folder = root / group
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**files, "cgroup.procs": f"{process}\n"}.items():
        (folder / name).write_text(text)
    return Cgroups(root)


@pytest.mark.parametrize("group", [SCOPE, "docker/c1"], ids=["systemd", "cgroupfs"])
def test_the_group_that_the_engine_chose_is_found(tmp_path: Path, group: str) -> None:
    """By the container's id; it is said that the figures are those of a program that still ran."""
    probe = HostProbe(_group(tmp_path, group, 1), READING, "")
    figures = {Figure.CPU_TIME: 1.5, Figure.MEMORY_PEAK: 4096, Figure.PIDS_PEAK: 2}
    assert probe.counted() == Counters("cgroup v2, while it ran", figures)
    (tmp_path / group / "cgroup.procs").unlink()
    assert probe.counted() is None


def test_of_a_group_of_ours_the_whole_is_counted(tmp_path: Path) -> None:
    """The container's own group is inside, and may be gone."""
    cgroups = _group(tmp_path, "orchestrator-t-1.x", "")
    counted = HostProbe(cgroups, READING, "orchestrator-t-1.x", lambda: cgroups.count("orchestrator-t-1.x")).counted()
    assert counted
    assert (counted.source, counted.figures[Figure.MEMORY_PEAK]) == ("cgroup v2", 4096)


@pytest.mark.parametrize("process", [0, "", "no number", 1 << 30])
def test_where_no_process_is_seen_nothing_is_said(tmp_path: Path, process: object) -> None:
    """As from another container, which sees ids of 0, or after the end."""
    probe = HostProbe(_group(tmp_path, SCOPE, process, {}), READING, "")
    assert (probe.look(), probe.counted(), probe.close()) == (False, None, [])


def test_a_remote_container_is_not_seen(tmp_path: Path) -> None:
    """Whatever else this host has."""
    probe = HostProbe(_group(tmp_path, "docker/another", os.getpid()), READING, "")
    assert (probe.look(), probe.counted(), probe.close()) == (False, None, [])


def test_a_process_in_our_own_root_is_not_in_its_container_yet(tmp_path: Path) -> None:
    """The engine makes it in its own root first; folders there are not of the size that the task asked for."""
    probe = HostProbe(_group(tmp_path, SCOPE, os.getpid()), READING, "")
    assert (probe.look(), probe._held, probe.close()) == (False, {}, [])


def _fails() -> None:
    raise OSError


@pytest.mark.parametrize("start", [_fails, lambda: None])
def test_whatever_becomes_of_the_start_the_looking_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[], None]
) -> None:
    """And what was held is let go of when there is nobody to ask for it."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("orchestrator.adapters.docker.host_probe._opened", lambda *_: {"/tmp": os.dup(0)})  # noqa: S108
    probe = HostProbe(_group(tmp_path, SCOPE, os.getpid()), READING, "")
    seen = []

    def starting() -> None:
        until(lambda: probe._held)
        seen.extend(probe._held.values())
        start()

    if start is _fails:
        with pytest.raises(OSError):  # noqa: PT011
            probe.look_during(starting)
    else:
        probe.look_during(starting)
    assert len(probe._held) == (start is not _fails)
    probe.close()
    for descriptor in seen:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_only_some_folders_of_known_size_are_looked_for(tmp_path: Path) -> None:
    """A path of one step cannot lead out of the container's root; and an image cannot use up the worker's descriptors."""
    out = {"Target": "/out", "VolumeOptions": {"DriverConfig": {"Options": {"o": "mode=1777,size=4096"}}}}
    many = {f"/v{number}": "size=8192" for number in range(2000)} | {"/odd": "size=8k"}
    reading = {"Id": "c1", "HostConfig": {"Tmpfs": TMPFS | many, "Mounts": [out, {"Target": "/task"}]}}
    folders = HostProbe(_group(tmp_path, SCOPE, 1), reading, "")._folders
    if os.geteuid() == 0:
        assert {path: folders[path] for path in ("/tmp", "/dev/shm", "/data", "/out")} == {  # noqa: S108
            "/tmp": 8192, "/dev/shm": 8192, "/data": 8192, "/out": 4096,  # noqa: S108
        }  # fmt: skip
        assert len(folders) <= 12
        assert "/far/away" not in folders
    else:
        assert folders == {}
