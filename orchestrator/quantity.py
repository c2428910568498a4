"""Sizes and durations as people write them: ``128m``, ``30s``, or plain numbers."""

import math
import re

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[bkmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s?)?", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(value: object) -> int:
    """Bytes from an integer or from text such as ``512``, ``128m`` or ``1.5GiB``; units are powers of 1024, as in docker run.

    Raises ValueError on anything else, booleans and fractions of a byte included.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None:
        raise ValueError("a size in bytes, or text such as 128m")
    return int(float(match["number"]) * _FACTORS[match["unit"].lower()])


def parse_duration(value: object) -> float:
    """Seconds from a finite number or from text such as ``1.5``, ``30s``, ``2m`` or ``1h30m``. Raises ValueError otherwise."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _FOREVER:
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None or not any(match.groups()):
        raise ValueError("a number of seconds, or text such as 30s")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def format_size(size: float) -> str:
    """``size`` bytes for people: ``512 B``, ``1.5 MiB``."""
    exponent = min(int(math.log2(size)) // 10, 4) if size >= 1 else 0
    scaled = size / (1 << 10 * exponent)
    return f"{scaled:.0f} {_UNITS[exponent]}" if scaled == math.floor(scaled) else f"{scaled:.1f} {_UNITS[exponent]}"


_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_LONGEST = 32
_FOREVER = 1e12
