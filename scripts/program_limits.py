"""The least limits with which a program passes, searched for in few steps."""

from collections.abc import Callable, Mapping, Sequence

Limits = Mapping[str, int | str]
MIB = 1 << 20
LADDERS: Mapping[str, Sequence[int]] = {
    "memory": [n * MIB for n in (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)],
    "pids": [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024],
    "tmp": [4096, *(n * MIB for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))],
}
"""Values that are tried for each limit, in rising order. With the last of each every program has to pass."""
ROOMY: Limits = {**{name: ladder[-1] for name, ladder in LADDERS.items()}, "timeout": "10m"}


def least(ladder: Sequence[int], passes: Callable[[int], bool]) -> int:
    """The lowest value that passes, where the last is known to pass and whatever is above a value that passes does."""
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high) // 2
        if passes(ladder[middle]):
            high = middle
        else:
            low = middle + 1
    return ladder[high]


def tight(passes: Callable[[Limits], bool], roomy: Limits = ROOMY) -> Limits:
    """The least value of each limit, while all others are roomy."""
    return {name: least(ladder, lambda value, name=name: passes({**roomy, name: value})) for name, ladder in LADDERS.items()}  # type: ignore[misc]
