"""The names of Linux's signals. Pure."""

import signal

_FIRST, _LAST = 1, 64
_REAL_TIME = signal.SIGRTMIN


def signal_name(number: int) -> str | None:
    """Such as SIGTERM, or SIGRTMIN+3 for one of real time; None for what is no signal.

    Two that C libraries keep for themselves have no name but their number.
    """
    if not _FIRST <= number <= _LAST:
        return None
    if number > _REAL_TIME:
        return f"SIGRTMIN+{number - _REAL_TIME}"
    return signal.Signals(number).name if number in set(signal.Signals) else f"SIG{number}"
