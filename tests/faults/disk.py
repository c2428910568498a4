"""A disk of a few megabytes; root alone may mount one."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BLOCK = 1 << 12
_AGAIN = 0.005


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """For the length of a block."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def kept_full(folder: Path) -> Iterator[None]:
    """For the length of a block: room that is given back on the disk of this folder is taken at once."""
    ballast, over = folder / "ballast", threading.Event()
    filler = threading.Thread(target=_fill, args=(ballast, over), daemon=True)
    filler.start()
    try:
        yield
    finally:
        over.set()
        filler.join()
        ballast.unlink()


def _fill(ballast: Path, over: threading.Event) -> None:
    with ballast.open("wb", buffering=0) as file:
        while not over.wait(_AGAIN):
            with suppress(OSError):
                while file.write(bytes(_BLOCK)):
                    pass
