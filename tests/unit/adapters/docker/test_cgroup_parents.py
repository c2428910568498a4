"""The groups above containers: their names, what they count, and what is left of lost containers."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker import cgroup_parents, systemd_units
from orchestrator.adapters.docker.cgroup import Cgroups, digest
from orchestrator.adapters.docker.cgroup_parents import BEFORE, Folders, Parents, Slices, SlotSlices, top_slice
from orchestrator.adapters.docker.client import Reading
from orchestrator.ports import Figure

IDS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,30}", fullmatch=True)
PAST, SOON = 1_000_000, 3_000_000


@define
class Stopped:
    """A service manager that takes the folder of what it stops away."""

    root: Path
    units: list[str] = field(factory=list)

    def stop(self, unit: str) -> None:
        """As systemd does."""
        self.units.append(unit)
        folder = self.root / systemd_units.folder(unit)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of version 2."""
    (tmp_path / "cgroup.controllers").touch()
    return tmp_path


def _ran(root: Path, group: str, usec: int, *, populated: int = 0, peak: int = 1 << 20) -> None:
    folder = root / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.stat").write_text(f"usage_usec {usec}\n")
    (folder / "memory.peak").write_text(f"{peak}\n")
    (folder / "cgroup.events").write_text(f"populated {populated}\n")


def _reading(parent: str, container: str = "c1", name: str = "orchestrator-t-1", labels: Mapping[str, str] = {}) -> Reading:
    return {"Id": container, "Name": f"/{name}", "HostConfig": {"CgroupParent": parent}, "Config": {"Labels": dict(labels)}}


@pytest.mark.parametrize("base", ["", "tenant.slice", "a-b.slice"])
@given(task=IDS, attempt=st.integers(1, 99), owner=st.uuids().map(str))
def test_a_slice_tells_whose_it_is(
    tmp_path_factory: pytest.TempPathFactory, base: str, task: str, attempt: int, owner: str
) -> None:
    """No id makes a further level, and each is found again by its folder, below the engine's own slice."""
    root = tmp_path_factory.mktemp("cgroup")
    (root / "cgroup.controllers").touch()
    slices = Slices(Cgroups(root), Stopped(root), base)  # type: ignore[arg-type]
    name = f"orchestrator-{task}-{attempt}"
    parent = slices.take(name, owner)
    assert parent
    group = slices.group(parent.name)
    assert group == f"{top_slice(base)}/{parent.name}"
    (root / group).mkdir(parents=True)
    assert [found for found, _ in slices.left(owner)] == [name]
    assert [*slices.left("another")] == []


def test_a_name_that_is_too_long_for_a_unit_has_no_slice(root: Path) -> None:
    """Its container is where the engine puts it."""
    slices = Slices(Cgroups(root), Stopped(root))  # type: ignore[arg-type]
    assert slices.take(f"orchestrator-{'-' * 127}a-1", "one") is None
    assert slices.take(f"orchestrator-{'a' * 128}-1", "one")


@pytest.mark.parametrize(
    "parent", ["", "system.slice", "/orchestrator-t-1.0", "tenant-orchestrator-x.slice", "a/orchestrator-x.slice"]
)
def test_slices_of_others_are_not_read(root: Path, parent: str) -> None:
    """A forged document may lead to any container."""
    assert Slices(Cgroups(root), Stopped(root)).group(parent) == ""  # type: ignore[arg-type]


def test_a_slice_is_stopped_when_nothing_runs_in_it(root: Path) -> None:
    """To stop it would end what runs; and what is gone is gone."""
    units = Stopped(root)
    slices = Slices(Cgroups(root), units)  # type: ignore[arg-type]
    parent = slices.take("orchestrator-t-1", "one")
    assert parent
    _ran(root, slices.group(parent.name), 5, populated=1)
    assert not slices.drop("orchestrator-t-1", "one")
    assert units.units == []
    assert slices.counted(_reading(parent.name))
    _ran(root, slices.group(parent.name), 5)
    assert slices.drop("orchestrator-t-1", "another")
    assert slices.drop("orchestrator-t-1", "one")
    assert slices.drop("orchestrator-t-1", "one")
    assert units.units == [parent.name]


@pytest.mark.parametrize("base", ["", "tenant", "a/b"])
def test_folders_are_below_the_engines_own(tmp_path: Path, base: str) -> None:
    """Where it has one; they are found there by container and owner."""
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "tasks").touch()
    folders = Folders(Cgroups(tmp_path), base)
    parent = folders.take("orchestrator-t-1", "one")
    assert parent.name == f"/{base}/orchestrator-t-1.{digest('one')}".replace("//", "/")
    (tmp_path / "pids" / folders.group(parent.name)).mkdir(parents=True)
    assert [name for name, _ in folders.left("one")] == ["orchestrator-t-1"]
    assert [*folders.left("another")] == []
    assert folders.group("/elsewhere/orchestrator-t-1.00000000") == ""
    assert folders.drop("orchestrator-t-1", "one")
    assert [*folders.left("one")] == []


@pytest.fixture
def owner() -> str:
    """Names of slots are the whole host's, so each test has its own."""
    return uuid.uuid4().hex


@pytest.fixture
def slots(root: Path) -> Iterator[SlotSlices]:
    """Slots of one process; they are let go at the end."""
    slots = SlotSlices(Cgroups(root))
    yield slots
    for name in [*slots._held]:
        slots.drop(name, "")


def test_slots_are_used_again_and_count_from_what_they_had(root: Path, slots: SlotSlices, owner: str) -> None:
    """As many as are needed at once; a repeated take gives the same."""
    one, two = slots.take("orchestrator-a-1", owner), slots.take("orchestrator-b-1", owner)
    assert one
    assert two
    assert one.name != two.name
    assert slots.take("orchestrator-a-1", owner) == one
    _ran(root, slots.group(one.name), PAST)
    slots.drop("orchestrator-a-1", owner)
    again = slots.take("orchestrator-c-1", owner)
    assert again
    assert again.name == one.name
    assert json.loads(again.labels[BEFORE])[Figure.CPU_TIME.value] == pytest.approx(1.0)
    _ran(root, slots.group(one.name), SOON)
    reading = _reading(again.name, name="orchestrator-c-1", labels=again.labels)
    counted = slots.counted(reading)
    assert counted
    assert counted.figures[Figure.CPU_TIME] == pytest.approx(2.0)
    assert Figure.MEMORY_PEAK not in counted.figures


def test_a_slot_in_which_something_runs_is_not_taken(root: Path, slots: SlotSlices, owner: str) -> None:
    """Its worker may have died."""
    one = slots.take("orchestrator-a-1", owner)
    assert one
    _ran(root, slots.group(one.name), 5, populated=1)
    slots.drop("orchestrator-a-1", owner)
    other = slots.take("orchestrator-b-1", owner)
    assert other
    assert other.name != one.name


def test_of_a_slot_that_another_process_may_have_used_nothing_is_said(root: Path, slots: SlotSlices, owner: str) -> None:
    """A container that runs is taken over with its slot, one that has exited is not, and a slot stays its holder's."""
    one = slots.take("orchestrator-a-1", owner)
    assert one
    other = SlotSlices(slots.cgroups)
    reading = _reading(one.name, "c1", "orchestrator-a-1", one.labels)
    scope = f"{slots.group(one.name)}/docker-c1.scope"
    _ran(root, slots.group(one.name), 5, populated=1)
    _ran(root, scope, 5)
    assert slots.counted(reading)
    assert other.counted(reading) is None
    slots.drop("orchestrator-a-1", owner)
    for file in (root / scope).iterdir():
        file.unlink()
    (root / scope).rmdir()
    assert other.counted(reading) is None
    _ran(root, scope, 5)
    assert other.counted(reading)
    assert slots.counted(reading) is None
    other.drop("orchestrator-a-1", owner)


def test_each_reads_what_the_other_has_given_a_container(root: Path, slots: SlotSlices, owner: str) -> None:
    """A worker with more rights does not take a slot for a slice of one task; one with less reads such a slice."""
    slices = Slices(slots.cgroups, Stopped(root))  # type: ignore[arg-type]
    slot, task = slots.take("orchestrator-a-1", owner), slices.take("orchestrator-slot_0_0_0-1", owner)
    assert slot
    assert task
    _ran(root, slots.group(slot.name), 5)
    _ran(root, slots.group(task.name), 5)
    assert slices.group(slot.name) == ""
    assert slots.counted(_reading(task.name))
    assert slots.group(task.name) == slices.group(task.name)


def test_where_all_slots_are_taken_there_is_none(slots: SlotSlices, owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container is where the engine puts it."""
    monkeypatch.setattr(cgroup_parents, "_SLOTS", 1)
    assert slots.take("orchestrator-a-1", owner)
    assert slots.take("orchestrator-b-1", owner) is None


def test_every_way_is_one_of_parents(root: Path) -> None:
    """What the type checker is told of each."""
    every: list[Parents] = [
        Folders(Cgroups(root)),
        Slices(Cgroups(root), Stopped(root)),  # type: ignore[arg-type]
        SlotSlices(Cgroups(root)),
    ]
    assert [each.group("") for each in every] == ["", "", ""]
