"""The newest of many documents, looked for in windows of time."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.mongo import newest as module
from orchestrator.adapters.mongo.newest import newest

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)
ages = st.integers(-100, 100) | st.integers(0, 10**6) | st.integers(0, 5 * 10**10)
"""Seconds before now: together, far apart, and some in the future."""
dates = ages.map(lambda age: NOW - timedelta(seconds=age))


class Site:
    """Documents by their dates, and the looks at them."""

    def __init__(self, times: list[datetime]) -> None:
        self.times = sorted(times, reverse=True)
        self.examined: list[int] = []

    def look(self, bounds: Mapping[str, Any], most: int) -> list[dict[str, object]]:
        """Those within the bounds, as MongoDB has it."""
        assert bounds
        assert most > 0
        found = [at for at in self.times if bounds.get("$gte", at) <= at and ("$lt" not in bounds or at < bounds["$lt"])]
        self.examined.append(len(found))
        return [{"at": at} for at in found[:most]]


@given(st.lists(dates, max_size=40), st.integers(0, 50), st.none() | dates, st.none() | dates)
def test_windows_find_what_one_look_at_all_would(
    times: list[datetime], most: int, since: datetime | None, until: datetime | None
) -> None:
    """Whatever the gaps, wherever it begins and ends; a time is in one window only."""
    site = Site(times)
    found = newest(site.look, most, since=since, until=until, now=NOW)
    wanted = [at for at in site.times if (since is None or at >= since) and (until is None or at < until)]
    assert [each["at"] for each in found] == wanted[:most]
    assert len(site.examined) <= 30


def test_a_page_of_many_thousands_reads_few_of_them() -> None:
    """Whether there are many each second or few each day."""
    for apart in (0.01, 1.0, 600.0, 90_000.0):
        site = Site([NOW - timedelta(seconds=apart * number) for number in range(20_000)])
        assert len(newest(site.look, 50, since=None, until=None, now=NOW)) == 50
        assert sum(site.examined) <= 500
        assert len(site.examined) <= 10


def test_a_slow_database_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a look takes, the windows widen: some thirty looks reach the first task ever."""
    site, clock = Site([NOW - timedelta(days=9000)]), iter(range(0, 10_000, 3))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    assert len(newest(site.look, 50, since=None, until=None, now=NOW)) == 1
    assert len(site.examined) <= 35


def test_after_a_long_look_the_next_window_is_little_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have to read much to find little."""
    widths = []

    def look(bounds: Mapping[str, Any], _: int) -> list[dict[str, object]]:
        if "$gte" in bounds:
            widths.append((bounds.get("$lt", NOW) - bounds["$gte"]).total_seconds())
        return []

    for took, factor in ((0.01, 16), (0.1, 5), (2.0, 2)):
        widths.clear()
        clock = itertools.count(step=took)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.__next__))
        newest(look, 50, since=None, until=None, now=NOW)
        assert widths[1] == pytest.approx(widths[0] * factor)
