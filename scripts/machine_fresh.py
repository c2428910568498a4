"""A bare Debian machine, a clone of this checkout, and the README's two commands in it."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.machine_disk import CHECKOUT
from scripts.machine_vm import Machine, call, down, inside, machine, up

TARGETS = ("demo", "test")
LIMIT = 6 * 3600.0
"""Seconds for one command, which may have to make an image with debootstrap first."""
_CLONE = "cat >/root/bundle && git clone -q /root/bundle /root/orchestrator"
_SETTINGS = "HOME=/root PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180"
"""What a user of this host has: its certificates; and patience, as the machine is slow."""


def fresh(one: Machine, targets: Sequence[str] = (), output: int | None = None) -> Iterator[tuple[str, int]]:
    """Each command and its exit status, as it ends; the machine goes afterwards. Raises NotReady."""
    bare = machine(f"{one.suite}-bare")
    down(bare)
    up(bare)
    try:
        inside(bare, _CLONE, _bundle())
        for target in targets or TARGETS:
            yield (
                f"make {target}",
                call(bare, f"cd /root/orchestrator && {_SETTINGS} make {target}", limit=LIMIT, output=output),
            )
    finally:
        down(bare)


def _bundle() -> bytes:
    """What is committed, as a file that git can clone."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        subprocess.run(["git", "-C", CHECKOUT, "bundle", "create", "-q", bundle, "HEAD"], check=True, stdin=subprocess.DEVNULL)
        return bundle.read_bytes()
