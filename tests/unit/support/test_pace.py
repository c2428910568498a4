"""How the tests' deadlines follow the machine's speed."""

import pytest

from tests.support import pace


def test_a_usual_machine_has_the_deadlines_that_are_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow one has multiples of them."""
    monkeypatch.setenv(pace.VARIABLE, "1.0")
    assert pace.seconds(30) == 30
    monkeypatch.setenv(pace.VARIABLE, "12.5")
    assert pace.seconds(30) == 375


@pytest.mark.parametrize(
    ("container", "process", "slowness"), [(0.8, 0.9, 1.0), (1.9, 0.5, 1.0), (9.0, 20.0, 20.0), (9.0, 0.1, 9.0)]
)
def test_the_slower_of_containers_and_processes_counts(container: float, process: float, slowness: float) -> None:
    """A little slower is usual."""
    assert pace.judge(container, process) == slowness


def test_it_is_measured_once_and_handed_on_to_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment."""
    monkeypatch.setenv(pace.VARIABLE, "1.0")
    monkeypatch.delenv(pace.VARIABLE)
    runs: list[str] = []
    monkeypatch.setattr(pace, "_container", lambda: runs.append("container"))
    monkeypatch.setattr(pace, "_process", lambda: runs.append("process"))
    assert pace.slowness() == pace.slowness() == float(pace.os.environ[pace.VARIABLE]) == 1.0
    assert sorted(set(runs)) == ["container", "process"]
    assert len(runs) == 2 * pace._TRIES
