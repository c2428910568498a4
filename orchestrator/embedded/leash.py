"""Runs a command. The kernel kills it when the process that started it dies, in any way. Linux only.

A separate program, run by its path: ``leash.py PID COMMAND…``. The leash is tied to the thread that started it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, *command: str) -> None:
    """Become the command. Returns only if the parent was gone already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
