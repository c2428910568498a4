"""Programs that every engine under test knows: shell scripts for a real one, entries in a table for the one in memory."""

from tests.support import pace


def _shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


SPEAK = _shell("echo out; echo err >&2; exit 3")
SLEEP = _shell("echo asleep; exec sleep 1000")
STUBBORN = _shell("trap '' TERM; echo ready; while :; do sleep 1; done")
NAP = _shell("echo out; sleep 0.2")
BUSY = _shell(f"timeout {pace.seconds(4):.0f} sh -c 'while :; do :; done'")
LEAVE = _shell("echo kept >/out/a; mkdir /out/d; printf x >/out/d/b; exit 3")
