"""What the doctor makes of a probe's report, without an engine."""

import pytest

from orchestrator.cli.checks.finding import Unfit
from orchestrator.cli.checks.report import PROPERTIES, bounded, read_report
from orchestrator.request import Limits


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
