"""What can be seen of a container from its host, on files as the kernel writes them and on processes of our own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.cgroup import Cgroups
from orchestrator.adapters.docker_footprint import HostFootprint
from orchestrator.ports import Counted, Figure
from tests.support.worker_process import until

READING = {"Id": "c1", "HostConfig": {"Tmpfs": {"/tmp": "", "/dev/shm": "", "/data": "", "/far/away": ""}}}  # noqa: S108
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
    footprint = HostFootprint(_group(tmp_path, group, 1), READING, "")
    figures = {Figure.CPU_TIME: 1.5, Figure.MEMORY_PEAK: 4096, Figure.PIDS_PEAK: 2}
    assert footprint.counted() == Counted("cgroup v2, while it ran", figures)
    (tmp_path / group / "cgroup.procs").unlink()
    assert footprint.counted() is None


def test_of_a_group_of_ours_the_whole_is_counted(tmp_path: Path) -> None:
    """The container's own group is inside, and may be gone."""
    cgroups = _group(tmp_path, "orchestrator-t-1.x", "")
    counted = HostFootprint(cgroups, READING, "orchestrator-t-1.x").counted()
    assert counted
    assert (counted.source, counted.figures[Figure.MEMORY_PEAK]) == ("cgroup v2", 4096)


@pytest.mark.parametrize("process", [0, "", "no number", 1 << 30])
def test_where_no_process_is_seen_nothing_is_said(tmp_path: Path, process: object) -> None:
    """As from another container, which sees ids of 0, or after the end."""
    footprint = HostFootprint(_group(tmp_path, SCOPE, process, {}), READING, "")
    assert (footprint.look(), footprint.counted(), footprint.close()) == (False, None, [])


def test_a_remote_container_is_not_seen(tmp_path: Path) -> None:
    """Whatever else this host has."""
    footprint = HostFootprint(_group(tmp_path, "docker/another", os.getpid()), READING, "")
    assert (footprint.look(), footprint.counted(), footprint.close()) == (False, None, [])


def test_a_process_in_our_own_root_is_not_in_its_container_yet(tmp_path: Path) -> None:
    """The engine makes it in the host's root first; the host's folders say nothing about the task."""
    footprint = HostFootprint(_group(tmp_path, SCOPE, os.getpid()), READING, "")
    assert (footprint.look(), footprint._held, footprint.close()) == (False, {}, [])


def _fails() -> None:
    raise OSError


@pytest.mark.parametrize("start", [_fails, lambda: None])
def test_whatever_becomes_of_the_start_the_looking_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[], None]
) -> None:
    """And what was held is let go of when there is nobody to ask for it."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("orchestrator.adapters.docker_footprint._opened", lambda *_: {"/tmp": os.dup(0)})  # noqa: S108
    footprint = HostFootprint(_group(tmp_path, SCOPE, os.getpid()), READING, "")
    seen = []

    def starting() -> None:
        until(lambda: footprint._held)
        seen.extend(footprint._held.values())
        start()

    if start is _fails:
        with pytest.raises(OSError):  # noqa: PT011
            footprint.look_during(starting)
    else:
        footprint.look_during(starting)
    assert len(footprint._held) == (start is not _fails)
    footprint.close()
    for descriptor in seen:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_folders_behind_a_link_of_the_image_are_not_looked_for(tmp_path: Path) -> None:
    """A path of one step cannot lead out of the container's root."""
    reading = {"Id": "c1", "HostConfig": {**READING["HostConfig"], "Mounts": [{"Target": "/out"}, {"Target": "/task"}]}}
    footprint = HostFootprint(_group(tmp_path, SCOPE, 1), reading, "")
    expected = {"/tmp", "/dev/shm", "/data", "/out"} if os.geteuid() == 0 else set()  # noqa: S108
    assert footprint._folders == expected
