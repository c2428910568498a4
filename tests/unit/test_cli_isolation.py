"""What the doctor makes of a probe's report, without an engine."""

import pytest

from orchestrator.cli.checks.finding import Unfit
from orchestrator.cli.checks.report import read_report
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
