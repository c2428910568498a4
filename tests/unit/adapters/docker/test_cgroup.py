"""Control groups read from files as the kernel writes them, of both versions."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.adapters.docker.cgroup import Cgroups
from orchestrator.ports import Counters, Figure

GROUP = "orchestrator-t1-1"
V1 = {
    f"cpuacct/{GROUP}/cpuacct.usage": "1500000000\n",
    f"cpu/{GROUP}/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    f"memory/{GROUP}/memory.max_usage_in_bytes": "121069568\n",
    f"memory/{GROUP}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    f"pids/{GROUP}/pids.peak": "21\n",
    f"pids/{GROUP}/pids.events": "max 0\n",
}
V1_INSIDE = {
    f"cpuacct/{GROUP}/c1/cpuacct.usage": "1400000000\n",
    f"cpu/{GROUP}/c1/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 250000000\n",
    f"memory/{GROUP}/c1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    f"pids/{GROUP}/c1/pids.events": "max 7\n",
}
V2 = {
    "cgroup.controllers": "cpu memory pids\n",
    f"{GROUP}/cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
    f"{GROUP}/memory.peak": "121069568\n",
    f"{GROUP}/memory.events": "low 0\nhigh 0\nmax 8\noom 3\noom_kill 2\noom_group_kill 0\n",
    f"{GROUP}/pids.peak": "21\n",
    f"{GROUP}/pids.events": "max 7\n",
}
V2_INSIDE = {f"{GROUP}/c1/cpu.stat": "usage_usec 1500000\nnr_periods 9\nnr_throttled 3\nthrottled_usec 250000\n"}
LASTING = {Figure.CPU_TIME: 1.5, Figure.MEMORY_PEAK: 121069568, Figure.PIDS_PEAK: 20}
EVENTS = {Figure.OOM_KILLS: 2, Figure.PIDS_REFUSED: 7}
REFUSED = {Figure.MEMORY_REFUSED: 3}


def _tree(root: Path, *files: Mapping[str, str]) -> Cgroups:
    for path, text in {name: text for each in files for name, text in each.items()}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        if path.count("/") > 1 and not (root / "cgroup.controllers").exists():
            (root / path.split("/")[0] / "tasks").touch()
    return Cgroups(root)


@pytest.mark.parametrize(
    ("files", "source", "figures"),
    [
        ([V1], "cgroup v1", LASTING),
        ([V1, V1_INSIDE], "cgroup v1", LASTING | EVENTS | {Figure.THROTTLED: 0.25}),
        ([V2], "cgroup v2", LASTING | EVENTS | REFUSED),
        ([V2, V2_INSIDE], "cgroup v2", LASTING | EVENTS | REFUSED | {Figure.THROTTLED: 0.25}),
    ],
    ids=["v1, ended", "v1, running", "v2, ended", "v2, running"],
)
def test_figures_are_read_in_our_units(
    tmp_path: Path, files: list[Mapping[str, str]], source: str, figures: Mapping[Figure, float]
) -> None:
    """Of what only the container's own group knows, nothing is said once that is gone: a zero would be invented."""
    assert _tree(tmp_path, *files).count(GROUP) == Counters(source, pytest.approx(figures))


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_that_nothing_has_happened_is_not_known_while_a_program_runs(tmp_path: Path, files: Mapping[str, str]) -> None:
    """It may yet: who believed it would not ask the engine at the end. How long it was held up is known."""
    where = {each: f"{each}/{GROUP}/c1" if files is V1 else f"{GROUP}/c1" for each in ("memory", "pids", "cpu")}
    inside = {
        f"{where['memory']}/memory.{'oom_control' if files is V1 else 'events'}": "oom 0\noom_kill 0\n",
        f"{where['pids']}/pids.events": "max 0\n",
        f"{where['cpu']}/cpu.stat": "throttled_time 0\nthrottled_usec 0\nusage_usec 1500000\n",
    }
    outside = {name: text for name, text in files.items() if "events" not in name and "oom_control" not in name}
    counted = _tree(tmp_path, outside, inside).count(GROUP)
    assert counted
    assert counted.figures == pytest.approx({**LASTING, Figure.THROTTLED: 0})


def test_a_group_that_counts_those_below_it_knows_at_the_end_that_nothing_happened(tmp_path: Path) -> None:
    """As slices do. A kernel before 6.11 has no such file for refused processes, and says nothing of them."""
    quiet = {f"{GROUP}/memory.events": "oom 0\noom_kill 0\n", f"{GROUP}/pids.events": "max 0\n"}
    older = _tree(tmp_path, V2, quiet, {f"{GROUP}/memory.events.local": "oom 0\noom_kill 0\n"}).count(GROUP)
    newer = _tree(tmp_path, {f"{GROUP}/pids.events.local": "max 0\n"}).count(GROUP)
    running = _tree(tmp_path, V2_INSIDE).count(GROUP)
    none = {Figure.MEMORY_REFUSED: 0.0, Figure.OOM_KILLS: 0.0}
    assert older == Counters("cgroup v2", pytest.approx(LASTING | none))
    assert newer == Counters("cgroup v2", pytest.approx(LASTING | none | {Figure.PIDS_REFUSED: 0.0}))
    assert running == Counters("cgroup v2", pytest.approx(LASTING | {Figure.THROTTLED: 0.25}))


def test_what_a_group_had_counted_for_others_is_taken_off(tmp_path: Path) -> None:
    """A peak is known only when it is the highest of all; why not is said."""
    groups = _tree(tmp_path, V2)
    before = {Figure.CPU_TIME: 1.25, Figure.MEMORY_PEAK: 121069568.0, Figure.PIDS_PEAK: 19.0, Figure.OOM_KILLS: 2.0}
    counted = groups.count(GROUP, before)
    assert counted
    assert counted.figures == pytest.approx(
        {Figure.CPU_TIME: 0.25, Figure.PIDS_PEAK: 20, Figure.OOM_KILLS: 0, Figure.PIDS_REFUSED: 7, Figure.MEMORY_REFUSED: 3}
    )
    assert "an earlier task" in counted.missing[Figure.MEMORY_PEAK]
    assert groups.count(GROUP, {Figure.CPU_TIME: 1.5}) is None


@pytest.mark.parametrize(
    "changed", [{}, {f"cpuacct/{GROUP}/cpuacct.usage": "0\n"}, {f"cpuacct/{GROUP}/cpuacct.usage": "soon\n"}]
)
def test_a_group_in_which_nothing_ran_says_nothing(tmp_path: Path, changed: Mapping[str, str]) -> None:
    """Every program uses some CPU: without any, the engine's groups are not those that this process sees."""
    assert _tree(tmp_path, changed).count(GROUP) is None


@pytest.mark.parametrize(
    ("files", "missing"), [(V1, {Figure.PIDS_PEAK}), (V2, {Figure.PIDS_PEAK, Figure.MEMORY_PEAK})], ids=["v1", "v2"]
)
def test_an_older_kernel_has_fewer_figures(tmp_path: Path, files: Mapping[str, str], missing: set[Figure]) -> None:
    """What is not there is left out."""
    whole = _tree(tmp_path / "new", files).count(GROUP)
    counted = _tree(tmp_path / "old", {name: text for name, text in files.items() if "peak" not in name}).count(GROUP)
    assert whole
    assert counted
    assert counted.figures.keys() == whole.figures.keys() - missing
    assert counted.missing.keys() == missing


def test_a_group_is_removed_from_every_controller(tmp_path: Path) -> None:
    """Also what an engine that died left in it; and removing what is gone does nothing."""
    groups = _tree(tmp_path, V1, V1_INSIDE)
    for file in [*tmp_path.rglob("*.*")]:
        if file.is_file():
            file.unlink()  # the kernel's files go with their folder
    (tmp_path / "cpu" / "another").mkdir()
    groups.remove(GROUP)
    groups.remove(GROUP)
    assert [folder.name for folder in tmp_path.rglob("*") if folder.is_dir() and folder.parent != tmp_path] == ["another"]


def test_the_groups_in_a_group_are_listed_once_with_their_age(tmp_path: Path) -> None:
    """Though version 1 has a folder of it for each controller."""
    for controller in ("pids", "cpu"):
        (tmp_path / controller / "all" / GROUP).mkdir(parents=True)
        (tmp_path / controller / "tasks").touch()
    groups = Cgroups(tmp_path)
    assert (groups.has(f"all/{GROUP}"), groups.has("all/another")) == (True, False)
    assert [name for name, age in groups.below("all") if age < 60] == [GROUP]
    assert [name for name, _ in groups.below()] == ["all"]
    assert list(groups.below("none")) == []


def test_groups_are_used_only_where_they_can_be_made_and_removed(tmp_path: Path) -> None:
    """Trying leaves nothing behind."""
    (tmp_path / "pids").mkdir()
    assert not Cgroups(tmp_path).usable
    (tmp_path / "pids" / "tasks").touch()
    assert not Cgroups(tmp_path).usable  # these are a container's own
    (tmp_path / "pids" / "release_agent").touch()
    assert Cgroups(tmp_path).usable
    assert not Cgroups(tmp_path / "nowhere").usable
    assert sorted(path.name for path in (tmp_path / "pids").iterdir()) == ["release_agent", "tasks"]


def test_the_groups_of_a_container_are_not_those_of_its_host(tmp_path: Path) -> None:
    """On version 2 only the topmost group of the host has no type."""
    (tmp_path / "cgroup.controllers").touch()
    assert Cgroups(tmp_path).usable
    (tmp_path / "cgroup.type").touch()
    assert not Cgroups(tmp_path).usable
