"""Images that only tasks wanted: which of them may go, and that a task whose image has gone gets it once more."""

from pathlib import Path

import pytest

from orchestrator.adapters.docker.pulled_images import Pulled, noted
from orchestrator.cause import Cause
from orchestrator.errors import ImageUnavailable
from orchestrator.ports import ContainerPlan, Created
from orchestrator.reconcile.reconciler import Kind
from orchestrator.task.labels import IMAGE, IMAGE_TAGS, IMAGE_USED
from orchestrator.testing.engine import MemoryEngine
from statemachine import State
from tests.support.world import World

TTL = 100.0


@pytest.mark.parametrize(
    ("tags", "now", "unwanted"),
    [
        ({"app:1"}, 1000 + TTL, False),
        ({"app:1"}, 1000 + TTL * 1.2, True),
        (set(), 1000 + TTL * 1.2, True),
        ({"mine:1"}, 1000 + TTL * 1.2, False),
        ({"app:1", "mine:1"}, 1000 + TTL * 1.2, False),
        ({"app:1"}, 900, False),
    ],
)
def test_an_image_goes_once_nobody_wants_it(tags: set[str], now: float, *, unwanted: bool) -> None:
    """Not before its time is over, and never one that somebody else has tagged, in place of the worker's tag or beside it."""
    assert Pulled("id", frozenset({"app:1"}), 1000).is_unwanted(tags, now, TTL) is unwanted


def test_the_last_use_counts_whatever_is_noted_beside_it() -> None:
    """A worker may have died between its note and the removal of the earlier one; what is no note is left alone."""
    volumes = [
        {"Name": "a", "Labels": {IMAGE: "one", IMAGE_TAGS: "app:1", IMAGE_USED: "1000"}},
        {"Name": "b", "Labels": {IMAGE: "one", IMAGE_TAGS: "app:2 app:3", IMAGE_USED: "3500"}},
        {"Name": "c", "Labels": {IMAGE: "two", IMAGE_USED: "2000"}},
        {"Name": "d", "Labels": {IMAGE: "two", IMAGE_USED: "soon"}},
        {"Name": "e", "Labels": {IMAGE: "three"}},
    ]
    assert [*noted(volumes)] == [
        Pulled("one", frozenset({"app:1", "app:2", "app:3"}), 3.5, ("a", "b")),
        Pulled("two", frozenset(), 2.0, ("c",)),
    ]


def test_the_sweep_removes_what_nobody_wants(tmp_path: Path) -> None:
    """It is planned first, as anything else."""
    world = World(tmp_path)
    world.engine.unwanted.add("sha256:1")
    assert [(action.kind, action.subject) for action in world.sweep().plan()] == [(Kind.REMOVE_IMAGE, "sha256:1")]
    assert world.engine.unwanted == {"sha256:1"}
    world.sweep().once(30)
    assert world.engine.unwanted == set()


class Forgetful(MemoryEngine):
    """Its image goes ``times`` times between the look for it and its use."""

    times = 1

    def create(self, plan: ContainerPlan) -> Created:
        """See ports.Engine."""
        self.times -= 1
        if self.times >= 0:
            raise ImageUnavailable("no such image")
        return super().create(plan)


def test_an_image_that_was_removed_since_it_was_looked_for_is_pulled_once_more(tmp_path: Path) -> None:
    """No task fails because a sweep was quicker."""
    world = World(tmp_path, engine=Forgetful)
    world.client.submit({"image": "busybox", "command": ["program"]}, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.SUCCEEDED, 1)


def test_an_image_that_cannot_be_used_is_not_pulled_for_ever(tmp_path: Path) -> None:
    """Once more, and that is it."""
    world = World(tmp_path, engine=Forgetful)
    world.engine.times = 2
    world.client.submit({"image": "busybox", "command": ["program"]}, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.cause) == (State.FAILED, Cause.IMAGE)
