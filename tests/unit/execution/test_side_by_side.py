"""What a task has left is stored side by side, a few objects at once."""

import threading
from pathlib import Path

import pytest

from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.execution.steps.upload import side_by_side
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support import pace
from tests.support.tars import out
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["."]}


def test_both_streams_and_the_artifacts_are_put_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them: each waits here until the others are on their way, too."""
    put, together = MemoryObjectStore.put, threading.Barrier(4)

    def late(self: MemoryObjectStore, key: str, path: Path, sha256: str) -> None:
        together.wait(pace.seconds(30))
        put(self, key, path, sha256)

    monkeypatch.setattr(MemoryObjectStore, "put", late)
    program = Program(stdout=b"out", stderr=b"err", out=out(a=b"artifact", b=b"another"))
    world = World(tmp_path, {("program",): program})
    world.client.submit(REQUEST, "t")
    task = world.worker().run("t")
    assert task
    assert task.status is State.SUCCEEDED
    assert [stored.path for stored in task.artifacts_stored] == ["a", "b"]
    assert b"".join(world.services.logs.get(task.artifacts_stored[1].key)) == b"another"


def test_once_one_has_failed_no_other_is_begun() -> None:
    """While storage is away each call takes long, and a task may have a thousand files."""
    begun: list[int] = []

    def away(number: int) -> None:
        begun.append(number)
        raise InfrastructureError(STORAGE, "away")

    with pytest.raises(InfrastructureError, match="away"):
        side_by_side([lambda number=number: away(number) for number in range(1000)])  # type: ignore[misc]
    assert len(begun) < 1000


@pytest.mark.parametrize("bad", range(5))
def test_whichever_fails_is_told(bad: int) -> None:
    """Also one that others were put after, and the first, which is put in the task's own thread."""
    done: list[int] = []

    def call(number: int) -> None:
        if number == bad:
            raise InfrastructureError(STORAGE, f"number {number}")
        done.append(number)

    with pytest.raises(InfrastructureError, match=f"number {bad}"):
        side_by_side([lambda number=number: call(number) for number in range(5)])  # type: ignore[misc]
    assert bad not in done


def test_one_object_needs_no_thread() -> None:
    """Nor does none."""
    threads: list[threading.Thread] = []
    side_by_side([])
    side_by_side([lambda: threads.append(threading.current_thread())])
    assert threads == [threading.current_thread()]
