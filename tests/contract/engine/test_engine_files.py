"""The files of a task, and their leftovers after the death of a worker, on Docker."""

import uuid
from collections.abc import Callable

import pytest
from attrs import evolve

from orchestrator.adapters.docker.container_config import files_name
from orchestrator.adapters.docker.input_volume import fill
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from tests.support.containers import LABEL, PATIENCE, Bench, joined, leftovers

Death = Callable[[Bench, ContainerPlan], None]
FILES = {"hello.txt": b"hello\n", "deep/er/run.sh": b"#!/bin/sh\necho ran\n"}
SHOW_FILES = "cat /task/hello.txt; /task/deep/er/run.sh; (echo x > /task/y) 2>&1 | grep -o Read-only; id -u"
SHOWN_FILES = b"hello\nran\nRead-only\n65534\n"


def test_files_can_be_read_and_run_but_not_written(docker: Bench) -> None:
    """By the ordinary user, in folders as deep as given; nothing of them stays."""
    plan = docker.plan(SHOW_FILES, files=FILES)
    assert docker.run_plan(plan).stdout == SHOWN_FILES
    docker.remove(plan)
    assert leftovers(plan.name) == []


def _filled(docker: Bench, plan: ContainerPlan) -> None:
    fill(docker.engine._client, plan)


def _half_filled(docker: Bench, plan: ContainerPlan) -> None:
    fill(docker.engine._client, evolve(plan, files={"hello.txt": b"hel"}))


def _created(docker: Bench, plan: ContainerPlan) -> None:
    fill(docker.engine._client, plan)
    docker.engine._make(plan)


@pytest.mark.parametrize("death", [_filled, _half_filled, _created])
def test_files_are_complete_wherever_an_earlier_worker_died(docker: Bench, death: Death) -> None:
    """A repeated create uses the existing parts, and leaves one container and one volume."""
    plan = docker.plan(SHOW_FILES, files=FILES)
    death(docker, plan)
    container = docker.engine.create(plan).id
    assert sorted(leftovers(plan.name)) == sorted([plan.name, files_name(plan.name)])
    chunks = docker.engine.attach(container, None)
    docker.engine.start(container)
    assert joined(chunks)["stdout"] == SHOWN_FILES


@pytest.mark.parametrize("death", [_filled, _half_filled, _created])
def test_remove_takes_everything_wherever_a_worker_died(docker: Bench, death: Death) -> None:
    """The container, the one that fills the volume, and the volume."""
    plan = docker.plan(SHOW_FILES, files=FILES)
    death(docker, plan)
    docker.remove(plan)
    assert leftovers(plan.name) == []


@pytest.mark.parametrize("death", [_filled, _half_filled, _created])
def test_what_a_dead_worker_left_is_found_under_the_name_that_removes_it(docker: Bench, death: Death) -> None:
    """Whichever of container, loader and volume there is, with an age by the engine's clock."""
    labels = {LABEL: "left", DEPLOYMENT: uuid.uuid4().hex, TASK: "t1", ATTEMPT: "1"}
    plan = docker.plan(SHOW_FILES, files=FILES, labels=labels)
    death(docker, plan)
    left = docker.engine.owned(labels[DEPLOYMENT])
    assert {(owned.name, owned.task_id, owned.attempt) for owned in left} == {(plan.name, "t1", 1)}
    assert all(-1 < owned.age < PATIENCE for owned in left)
    docker.engine.remove(left[0].name, labels[DEPLOYMENT])
    assert list(docker.engine.owned(labels[DEPLOYMENT])) == []
