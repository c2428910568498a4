"""Sizes and durations as people write them: ``128m``, ``30s``, or plain numbers."""

import math
import re
from collections.abc import Callable
from decimal import Decimal

from attrs import frozen

LONGEST = 32
"""Characters in a size or duration written as text."""
SIZE = r"([0-9]+) ?[bB]?|([0-9]+(?:\.[0-9]+)?) ?([kmgtKMGT])[iI]?[bB]?"
"""Text that is a size, as a regular expression that Python and JSON Schema read alike."""
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
DURATION = (
    rf"({_NUMBER})|(?=[0-9])(?:({_NUMBER})[dD])?(?:({_NUMBER})[hH])?(?:({_NUMBER})[mM](?![sS]))?(?:({_NUMBER})[sS])?"
    rf"(?:({_NUMBER})[mM][sS])?"
)
"""Text that is a duration, likewise: days, hours, minutes, seconds and milliseconds follow each other."""


def parse_size(value: object) -> int:
    """Bytes from a whole number or from text such as ``512``, ``128m`` or ``1.5GiB``.

    Units are powers of 1024, as in docker run; what a fraction of a unit leaves of a byte is cut off.
    Raises ValueError on anything else, booleans included.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    match = re.fullmatch(SIZE, value) if isinstance(value, str) and len(value) <= LONGEST else None
    if match is None:
        raise ValueError("a size in bytes, or text such as 128m")
    whole, number, unit = match.groups()
    return int(whole) if whole else int(Decimal(number) * _FACTORS[unit.lower()])


def parse_duration(value: object) -> float:
    """Seconds from a number or from text such as ``1.5``, ``500ms``, ``1.5m``, ``1h30m`` or ``1d``, below ``FOREVER``.

    Raises ValueError otherwise.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FOREVER:
        return float(value)
    match = re.fullmatch(DURATION, value) if isinstance(value, str) and len(value) <= LONGEST else None
    if match is None:
        raise ValueError("a number of seconds, or text such as 30s")
    parts = zip(match.groups(), _SECONDS, strict=True)
    return _below_forever(float(sum(Decimal(part) * seconds for part, seconds in parts if part)))


def _below_forever(seconds: float) -> float:
    if seconds >= FOREVER:
        raise ValueError("a number of seconds, or text such as 30s, below 30 years")
    return seconds


def format_size(size: float) -> str:
    """``size`` bytes for people: ``512 B``, ``1.5 MiB``."""
    exponent = min(int(math.log2(size)) // 10, 4) if size >= 1 else 0
    scaled = size / (1 << 10 * exponent)
    return f"{scaled:.0f} {_UNITS[exponent]}" if scaled == math.floor(scaled) else f"{scaled:.1f} {_UNITS[exponent]}"


def _plainly(amount: float) -> str:
    return f"{amount:.15g}"


@frozen
class Unit:
    """How amounts of one kind are written outside a task document."""

    placeholder: str
    """What stands for an amount in the help of a flag."""
    read: Callable[[str], object]
    """From a flag or a variable. Text that means the same in a document stays text. Raises ValueError."""
    show: Callable[[float], str] = _plainly
    """In a sentence."""


NUMBER = Unit("N", float)
COUNT = Unit("N", int)
BYTES = Unit("SIZE", str, format_size)
TIME = Unit("TIME", str)
FOREVER = 1e9
"""Seconds that no duration may reach: threads wait no longer than some hundred years, and no date is after the year 9999."""
_SECONDS = (Decimal(1), Decimal(86400), Decimal(3600), Decimal(60), Decimal(1), Decimal("0.001"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
