"""What a program used over time: which points are kept, and in what form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.outcome import series as module
from orchestrator.outcome.series import COLUMNS, MOST, Recording, Series
from orchestrator.ports import Counters, Figure, Sample


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of the real one."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def counted(cpu: float, memory: int = 0, pids: int = 0) -> Counters:
    """What the kernel has counted."""
    return Counters(
        "cgroup", {Figure.CPU_TIME: cpu, Figure.MEMORY_PEAK: memory, Figure.PIDS_PEAK: pids, Figure.THROTTLED: 0.25}
    )


def test_a_short_program_has_its_looks(clock: Clock) -> None:
    """The CPU between two of them, in % of one core; what is not known is null."""
    recording = Recording()
    recording.begin(3)
    for at, cpu in ((0.1, 0.05), (0.2, 0.25), (0.4, 0.25)):
        clock.now = 1000.0 + at
        recording.look(counted(cpu, 1000, 2))
    series = recording.series()
    assert series
    assert (series.attempt, series.interval, series.columns) == (3, 1.0, COLUMNS)
    assert [row[:5] for row in series.points] == [
        (0.1, 50.0, 1000, 2, 0.25),
        (0.2, 200.0, 1000, 2, 0.25),
        (0.4, 0.0, 1000, 2, 0.25),
    ]
    assert series.column("read_bytes") == [0.0, 0.0, 0.0]
    assert series.column("nothing") == []
    assert [*recording.take()] == []


def test_samples_are_kept_and_sent(clock: Clock) -> None:
    """Each is to be sent once; times count from the program's start, also where another process began to watch it."""
    recording = Recording()
    recording.begin(1, ran_for=60.0)
    for _ in range(2):
        clock.now += 1
        recording.add(Sample(12.351, 1000, counted(1.0, 5000, 4), 1, 2, 3, 4))
    sent = [*recording.take()]
    told = [(point.t, point.cpu_percent, point.memory_bytes, point.pids) for point in sent]
    assert told == [(61, 12.35, 1000, 4), (62, 12.35, 1000, 4)]
    assert (sent[0].read_bytes, sent[0].sent_bytes, sent[0].throttled_seconds) == (1, 4, 0.25)
    assert [*recording.take()] == []
    series = recording.series()
    assert series
    assert [row[0] for row in series.points] == [61, 62]


def test_before_the_start_nothing_is_noted(clock: Clock) -> None:
    """The sampling may begin before the program; where nothing is counted there is nothing to note."""
    recording = Recording()
    recording.look(counted(1.0))
    recording.add(Sample(1.0, 1))
    recording.begin(1)
    recording.look(None)
    recording.look(Counters("cgroup", {Figure.MEMORY_PEAK: 1}))
    clock.now += 1
    recording.look(counted(1.0))
    assert recording.series() is None


def test_what_nobody_takes_is_not_piled_up(clock: Clock) -> None:
    """As where output is not sent at all."""
    recording = Recording()
    recording.begin(1)
    for _ in range(1000):
        clock.now += 1
        recording.add(Sample(0.0, 0))
    assert len([*recording.take()]) < 100


@given(st.integers(2, 40_000))
def test_a_long_run_is_thinned_by_halving(number: int) -> None:
    """As many points as may be, from the first on, all equally far apart."""
    recording = Recording(began=0.0)
    for _ in range(number):
        recording.add(Sample(0.0, 0))
    points = recording._points
    assert min(number, MOST // 2) <= len(points) <= MOST
    assert (len(points) - 1) * recording._stride < number <= len(points) * recording._stride
    series = recording.series()
    assert series
    assert series.interval == recording._stride
    assert recording._stride & (recording._stride - 1) == 0


def test_a_series_is_stored_and_read() -> None:
    """As JSON of one line; anything else is refused."""
    series = Series(2, 4.0, ("t", "cpu_percent"), ((0.5, 10.0), (4.5, None)))
    assert Series.from_json(series.to_json()) == series
    for bad in (b"[]", b"{}", b"\xff", b'{"attempt": 1, "interval": 1, "columns": ["t"], "points": [1]}'):
        with pytest.raises(ValueError):  # noqa: PT011  what JSON says of it differs
            Series.from_json(bad)
