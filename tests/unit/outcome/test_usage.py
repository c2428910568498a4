"""What a run used: samples, counted figures, and where each is from."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.outcome.usage import PeakCounters, UsageMeter
from orchestrator.ports import Counters, Figure, Sample

readings = st.builds(
    Counters,
    st.sampled_from(["samples", "cgroup v1"]),
    st.dictionaries(st.sampled_from(list(Figure)), st.floats(0, 1e9)),
)


def test_without_a_reading_nothing_is_invented() -> None:
    """Null, and no source."""
    metrics = UsageMeter().summary(1.5, PeakCounters())
    assert (metrics.cpu_percent, metrics.memory_bytes, metrics.samples, metrics.duration_s) == (None, None, 0, 1.5)
    assert (metrics.cpu_time_s, metrics.memory_peak_bytes, metrics.pids_peak, metrics.throttled_s) == (None, None, None, None)
    assert metrics.source == {"duration_s": "engine"}


def test_a_peak_between_samples_is_seen() -> None:
    """The counted peak is the one figure for the most memory, and its source is named."""
    meter, tally = UsageMeter(), PeakCounters()
    meter.add(Sample(50.0, 1000, Counters("samples", {Figure.MEMORY_PEAK: 1000, Figure.CPU_TIME: 0.5})))
    tally.add(Counters("cgroup v2", {Figure.MEMORY_PEAK: 9000, Figure.CPU_TIME: 0.75}))
    metrics = meter.summary(1.0, tally.with_(meter.tally))
    assert metrics.memory_bytes
    assert (metrics.memory_bytes.max, metrics.memory_peak_bytes, metrics.cpu_time_s) == (9000, 9000, 0.75)
    assert (metrics.source["memory_bytes"], metrics.source["memory_peak_bytes"]) == ("samples", "cgroup v2")
    assert metrics.source["memory_bytes.max"] == "cgroup v2"


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.none() | st.integers(0, 1 << 40))
def test_the_peak_is_never_below_a_sample(samples: list[int], peak: int | None) -> None:
    """A peak that was read before the largest sample gives way to it, and both fields say the same."""
    meter, tally = UsageMeter(), PeakCounters()
    for memory in samples:
        meter.add(Sample(1.0, memory))
    if peak is not None:
        tally.add(Counters("cgroup v2", {Figure.MEMORY_PEAK: peak}))
    metrics = meter.summary(1.0, tally)
    assert metrics.memory_bytes
    assert metrics.memory_bytes.max == max([*samples, peak or 0])
    assert metrics.memory_peak_bytes == (None if peak is None else metrics.memory_bytes.max)


def test_samples_stand_in_where_nothing_is_counted() -> None:
    """And the source says that they do."""
    meter = UsageMeter()
    meter.add(Sample(50.0, 1000, Counters("samples", {Figure.MEMORY_PEAK: 1000, Figure.PIDS_PEAK: 3})))
    metrics = meter.summary(1.0, meter.tally)
    assert (metrics.memory_peak_bytes, metrics.pids_peak) == (1000, 3)
    assert metrics.source["pids_peak"] == "samples"


@given(st.lists(readings), st.lists(readings))
def test_the_order_and_the_hand_that_adds_make_no_difference(first: list[Counters], second: list[Counters]) -> None:
    """Each figure is the largest that was read."""
    one, two, whole = PeakCounters(), PeakCounters(), PeakCounters()
    for counted in first:
        one.add(counted)
    for counted in second:
        two.add(counted)
    for counted in [*second, *first]:
        whole.add(counted)
    assert {each: said[0] for each, said in one.with_(two).figures.items()} == {
        each: said[0] for each, said in whole.figures.items()
    }
