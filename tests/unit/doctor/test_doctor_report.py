"""What the doctor makes of a probe's report, and for how long it waits for one, without an engine."""

from contextlib import nullcontext
from datetime import datetime
from types import SimpleNamespace

import pytest

from orchestrator.doctor import isolation
from orchestrator.doctor.finding import Unfit
from orchestrator.doctor.report import PROPERTIES, SCRIPT, bounded, has_room, read_report
from orchestrator.settings.settings import Settings
from orchestrator.task.limits import Limits
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import FOREVER, Program


def test_lines_are_read_by_kind_and_name() -> None:
    """Whatever else the image prints in between."""
    report = read_report("hello\nstatus CapEff: 0000\nstatus Uid: 5 5 5 5\nwrote /\nend yes\n", Limits())
    assert report.value("status", "CapEff") == "0000"
    assert (report.of("wrote"), report.of("socket")) == (["/"], [])
    with pytest.raises(Unfit, match="status Seccomp cannot be read"):
        report.value("status", "Seccomp")


@pytest.mark.parametrize("output", ["", "status CapEff: 0", "exec sh failed: No such file or directory"])
def test_a_report_that_is_not_whole_is_no_report(output: str) -> None:
    """The last words of the probe are shown."""
    with pytest.raises(Unfit, match="did not get to its end"):
        read_report(output, Limits())


JUDGES = {name: judge for name, _, judge in PROPERTIES}
MEMORY = Limits().memory


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("route Iface\nroute lo\ninterface Inter-|\ninterface face\ninterface lo\ninterface sit0\n", None),
        ("route lo\nroute eth0\n", "routes over eth0"),
        ("interface lo\ninterface eth1\n", "interfaces eth1"),
    ],
)
def test_a_network_is_a_route_or_an_interface(lines: str, complaint: str | None) -> None:
    """Of either version of IP; not the interfaces that sleep in every namespace of some kernels."""
    _judge("network", lines, complaint)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (f"memory memory.memsw.limit_in_bytes {MEMORY}\n", None),
        ("memory memory.swap.max 0\nswap Filename\nswap /dev/sda2\n", None),
        ("swap Filename\n", None),
        ("memory memory.swap.max max\n", "memory.swap.max is max"),
        (f"memory memory.memsw.limit_in_bytes {2 * MEMORY}\n", f"memsw.limit_in_bytes is {2 * MEMORY}"),
        ("swap Filename\nswap /dev/sda2\n", "swaps to /dev/sda2"),
    ],
)
def test_swap_is_bounded_on_either_version_of_control_groups(lines: str, complaint: str | None) -> None:
    """Or the host has none."""
    _judge("swap", lines, complaint)


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ("rw,nosuid,size=64k,nr_inodes=9", True),
        ("rw,nosuid,size=128k,nr_inodes=9", False),
        ("rw,nosuid,size=50%,nr_inodes=9", False),
        ("rw,nosuid,size=64k", False),
        ("rw,nosuid,nr_inodes=9", False),
        ("rw,size=64k,nr_inodes=9", False),
    ],
)
def test_a_folder_is_bounded_in_bytes_and_files(options: str, *, holds: bool) -> None:
    """By no more than what is granted."""
    report = read_report(f"mount /out tmpfs {options}\nend yes\n", Limits())
    if holds:
        bounded(report, "/out", 64 << 10)
    else:
        with pytest.raises(Unfit, match="/out is mounted with"):
            bounded(report, "/out", 64 << 10)


def _judge(name: str, lines: str, complaint: str | None) -> None:
    report = read_report(f"{lines}end yes\n", Limits())
    if complaint is None:
        JUDGES[name](report)
    else:
        with pytest.raises(Unfit, match=complaint):
            JUDGES[name](report)


class Watched(MemoryEngine):
    """Notes how each shell script ended, and for how long it ran, when its container is removed."""

    def __init__(self, programs: dict[str, Program]) -> None:
        super().__init__({("sh", "-c", script): program for script, program in programs.items()})
        self.ends: dict[str, tuple[int | None, float]] = {}

    def remove(self, name: str, deployment: str) -> None:
        """See ports.Engine."""
        state = self.inspect(name)
        self.ends[self._get(name).plan.command[2]] = state.exit_code, state.ran_for
        super().remove(name, deployment)


@pytest.mark.parametrize("slowness", [0.5, 15, 60])
def test_the_speed_of_the_machine_ends_no_probe(monkeypatch: pytest.MonkeyPatch, slowness: float) -> None:
    """Each may take as many times longer as the first one took."""
    report, eats = Program(stdout=b"end yes\n", seconds=slowness), Program(exit_code=137, seconds=10 * slowness)
    engine = Watched({SCRIPT: report, isolation._EAT: eats, isolation._CLING: FOREVER})
    began = engine._now
    clock = SimpleNamespace(monotonic=lambda: _passed(engine, began))
    monkeypatch.setattr(isolation, "time", clock)
    findings = list(isolation.check(engine, "image", Settings(), _described))
    assert findings[0].ok
    assert engine.ends[SCRIPT] == (0, slowness)
    assert engine.ends[isolation._EAT] == (137, 10 * slowness)
    assert engine.ends[isolation._CLING] == (143, max(slowness, 1))


def _described(_: str) -> dict[str, object]:
    return {"LogConfig": {"Type": "none", "Config": {}}, "IpcMode": "private", "PidMode": ""}


def _passed(engine: MemoryEngine, began: datetime) -> float:
    return (engine._now - began).total_seconds()


@pytest.mark.parametrize(
    ("room", "holds"),
    [("16 4096 1024", True), ("64 4096 1024", False), ("16 4096 0", False), ("16 4096 99999999", False), ("", False)],
)
def test_a_folder_of_the_host_has_the_room_that_its_file_system_says(room: str, *, holds: bool) -> None:
    """Blocks, their size and files; nothing where the image has no `stat`."""
    report = read_report(f"room /out {room}\nend yes\n", Limits())
    with nullcontext() if holds else pytest.raises(Unfit, match="/out has room for"):
        has_room(report, "/out", 65536)


GVISOR = """\
kernel Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016
status CapEff: 0000000000000000
status CapBnd: 0000000000000000
status Seccomp: 0
mount /tmp tmpfs rw,mode=1777,uid=65534,size=67108864
mount /dev/shm tmpfs rw,noexec,mode=1777,size=1048576
scratch yes
end yes
"""
HOST = "6.12.1"


@pytest.mark.parametrize("name", ["privileges", "scratch", "kernel files"])
def test_a_kernel_of_the_containers_own_keeps_promises_in_its_own_way(name: str) -> None:
    """The report is gVisor's. With the host's kernel the same lines would show a hole."""
    assert JUDGES[name](read_report(GVISOR, Limits(tmp=64 << 20), HOST))
    for kernel in ("4.4.0", ""):
        with pytest.raises(Unfit):
            JUDGES[name](read_report(GVISOR, Limits(tmp=64 << 20), kernel))


@pytest.mark.parametrize(
    ("name", "given", "lost"),
    [
        ("privileges", "CapEff: 0000000000000000", "CapEff: 00000000a80405fb"),
        ("scratch", "uid=65534,size=67108864", "uid=65534"),
        ("scratch", "size=67108864", "size=167108864"),
        ("scratch", "rw,noexec,mode", "rw,mode"),
    ],
)
def test_a_kernel_of_the_containers_own_is_no_excuse_for_the_rest(name: str, given: str, lost: str) -> None:
    """Rights and sizes are promised there, too."""
    with pytest.raises(Unfit):
        JUDGES[name](read_report(GVISOR.replace(given, lost), Limits(tmp=64 << 20), HOST))
