"""Sizes and durations are read as docker run reads them, and shown as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.task.units import format_size, parse_duration, parse_size

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (512, 512),
        (512.0, 512),
        ("512", 512),
        ("512b", 512),
        ("128m", 128 * MIB),
        ("128M", 128 * MIB),
        ("128 MB", 128 * MIB),
        ("128MiB", 128 * MIB),
        ("4ki", 4096),
        ("1.5g", 1536 * MIB),
        ("0.3k", 307),
        ("2t", 2 << 40),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_size_is_read(text: object, size: int) -> None:
    """Whole numbers are bytes; units are powers of 1024 in any case, with or without i and b; large numbers stay exact."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "bad",
    [
        None, True, 1.5, float("nan"), float("inf"), "", "m", "-1", "1.5", "1.5b", "5ib", "1e3", "1_000", "0x10", " 1", "1\n",
        "\u0661", "1kk", "1,5g", "1p", "9" * 33, b"1", [1], {},
    ],
)  # fmt: skip
def test_what_is_no_size_is_refused(bad: object) -> None:
    """Anything else, a fraction of a byte and digits of other scripts included, is a ValueError that says what is wanted."""
    with pytest.raises(ValueError, match="a size in bytes, or text such as 128m"):
        parse_size(bad)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0.0),
        (30, 30.0),
        (0.25, 0.25),
        ("30", 30.0),
        ("1.5", 1.5),
        ("30s", 30.0),
        ("30S", 30.0),
        ("0.5s", 0.5),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1h0m0.5s", 3600.5),
        ("500ms", 0.5),
        ("1MS", 0.001),
        ("1m500ms", 60.5),
        ("1.5m", 90.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("1d12h", 129600.0),
        ("0.1ms", 0.0001),
    ],
)
def test_duration_is_read(text: object, seconds: float) -> None:
    """Plain numbers are seconds; days, hours, minutes, seconds and milliseconds follow each other, each may be a fraction."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "bad",
    [
        None, False, float("nan"), float("inf"), 1e9, 1e12, "1000000000", "99999d", -(10**400), 10**400, "", " ", "s", "h",
        "1h30", "30m1h", "1s1d", "1ms1s", "1w", "5M S", "1.m", "-1s", "1 s", "1e3", "\u0663", "1s\n", "9" * 33, b"1", [], {},
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(bad: object) -> None:
    """Anything else, units out of order and numbers whose unit is left to guess included."""
    with pytest.raises(ValueError, match="a number of seconds, or text such as 30s"):
        parse_duration(bad)


@given(st.one_of(st.text(), st.from_regex(r"[0-9.]{0,40}[a-zA-Z ]{0,3}"), st.integers(), st.floats(), st.binary()))
def test_any_value_is_read_or_refused(value: object) -> None:
    """Nothing but a ValueError ever comes out."""
    for parse in (parse_size, parse_duration):
        try:
            assert parse(value) == parse(value)
        except ValueError:
            continue


@given(st.integers(min_value=0, max_value=1 << 60))
def test_size_survives_being_written_out(size: int) -> None:
    """As a number and as text."""
    assert parse_size(size) == parse_size(str(size)) == parse_size(f"{size}b") == size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (64 * MIB, "64 MiB"),
        (1 << 30, "1 GiB"),
        (1 << 50, "1024 TiB"),
    ],
)
def test_size_is_shown(size: int, text: str) -> None:
    """In the largest unit that leaves 1 or more, with a decimal only where there is one."""
    assert format_size(size) == text
