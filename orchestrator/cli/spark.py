"""A line of blocks that shows how a figure went. Draws text, and needs no library."""

from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int = 60) -> str:
    """One block for each value, or for the most of several where there are more than ``width``; the scale begins at 0."""
    number = min(len(values), width)
    if number == 0:
        return ""
    edges = [place * len(values) // number for place in range(number + 1)]
    shown = [max(values[low:high]) for low, high in pairwise(edges)]
    top = max(shown)
    return "".join(
        _BLOCKS[min(int(value / top * len(_BLOCKS)), len(_BLOCKS) - 1)] if top > 0 else _BLOCKS[0] for value in shown
    )
