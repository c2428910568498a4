"""What a process listens on, as the kernel has it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"


def listening(pid: int) -> set[tuple[str, int]]:
    """The IPv4 and IPv6 addresses, in the kernel's hexadecimal, and ports that a process listens on."""
    sockets = {target.removeprefix("socket:[").removesuffix("]") for target in _open(pid)}
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    found = [row[1].rpartition(":") for row in rows if row[3] == _LISTENING and row[9] in sockets]
    return {(address, int(port, 16)) for address, _, port in found}


def _open(pid: int) -> Iterator[str]:
    """What its descriptors lead to; some are closed meanwhile."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield link.readlink().name
