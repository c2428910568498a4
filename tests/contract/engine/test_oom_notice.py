"""Memory that runs out in a control group of the test, on the kernel of this host."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.adapters.docker.cgroup import HERE, Cgroups
from orchestrator.adapters.docker.oom_notice import OomNotice
from orchestrator.ports import Figure
from tests.support.worker_process import until

MEBI = 1 << 20
LIMIT = 16 * MEBI
UNIFIED = Cgroups().unified


@pytest.fixture
def group() -> Iterator[Path]:
    """A group with a limit on memory."""
    folder = HERE / ("" if UNIFIED else "memory") / f"orchestrator-test-{uuid4().hex[:12]}"
    folder.mkdir()
    (folder / ("memory.max" if UNIFIED else "memory.limit_in_bytes")).write_text(str(LIMIT))
    if UNIFIED:
        (folder / "memory.oom.group").write_text("1")
    yield folder
    _remove(folder)


def _remove(folder: Path) -> None:
    def gone() -> bool:
        with suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    until(gone)


def _take(folder: Path, size: int) -> int:
    """A process in the group that takes so much memory; its exit status."""
    code = f"import os; open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); x = b'x' * {size}"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_what_was_killed_is_known_when_the_group_is_gone(group: Path) -> None:
    """Version 1 tells by the notice; version 2 takes none, for its groups count what is below."""
    notice = OomNotice.of(group)
    assert (notice is None) is UNIFIED
    assert [_take(group, size) for size in (MEBI, 4 * LIMIT, 4 * LIMIT)] == [0, -9, -9]
    if notice is None:
        counted = Cgroups().count(group.name)
        assert counted is not None
        assert counted.figures[Figure.OOM_KILLS] == 2
        return
    assert notice.times() == 2
    _remove(group)
    assert [notice.times(), notice.times()] == [2, 2]
    notice.close()
    assert notice.times() == 2


def test_a_group_that_went_without_a_kill_tells_of_none(group: Path) -> None:
    """The signal of its removal is not one of memory."""
    notice = OomNotice.of(group)
    assert _take(group, MEBI) == 0
    _remove(group)
    assert notice is None or notice.times() == 0


def test_a_group_that_is_not_there_has_no_notice(tmp_path: Path) -> None:
    """Nor one that this process may not write to."""
    assert OomNotice.of(tmp_path / "none") is None
