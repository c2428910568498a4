"""Checks this host: the folder that keeps output until it is uploaded."""

import shutil
import tempfile
from collections.abc import Iterator

from orchestrator import private_files as private
from orchestrator.doctor.finding import Finding, Unfit, look
from orchestrator.settings.settings import Settings
from orchestrator.task.units import format_size


def check(settings: Settings) -> Iterator[Finding]:
    """Check the spool folder."""
    advice = f"make {settings.spool_dir} a folder that this user may write to and no other, or set SPOOL_DIR"
    writable = look("spool", advice, lambda: _write(settings), OSError)
    yield writable
    if writable.ok:
        yield look("spool space", "free space there, or lower CONCURRENCY or MAX_OUTPUT", lambda: _space(settings), OSError)


def _write(settings: Settings) -> str:
    private.make(settings.spool_dir)
    with tempfile.TemporaryFile(dir=settings.spool_dir) as file:
        file.write(b"doctor")
    return str(settings.spool_dir)


def _space(settings: Settings) -> str:
    """Every task at once may fill both of its streams."""
    free = shutil.disk_usage(settings.spool_dir).free
    needed = settings.concurrency * 2 * settings.ceilings.output
    found = f"{format_size(free)} free, {settings.concurrency} tasks may need {format_size(needed)}"
    if free < needed:
        raise Unfit(found)
    return found
