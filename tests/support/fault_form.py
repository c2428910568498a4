"""Which form of the fault suite runs: the long one of `make faults`, or the short one of `make test`."""

import os


def long() -> bool:
    """Whether the long form is asked for, as `make faults` does."""
    return bool(os.environ.get("FAULT_LONG"))
