"""The folder /out of a task: its files are read after the exit, and the folder is removed, on both engines."""

import io
import tarfile
import uuid
from collections.abc import Callable

import pytest
from attrs import evolve

from orchestrator.adapters.docker import output_volume as docker_out
from orchestrator.adapters.docker.container_config import holder_config, out_name
from orchestrator.errors import ContainerMissing, TaskFailure
from orchestrator.ports import ContainerPlan, Phase
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from orchestrator.task.limits import Limits
from tests.contract.engine import shell
from tests.support import pace
from tests.support.containers import LABEL, PATIENCE, Bench, joined, leftovers, library, out_of_memory

Death = Callable[[Bench, ContainerPlan], None]
LEAVE = shell.LEAVE[2]
SMALL = Limits(artifacts=1 << 20)


def archived(bench: Bench, name: str) -> dict[str, bytes | None]:
    """The archive by name: the content of files, None for everything else."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(bench.engine.archive(name)))) as tar:
        return {info.name: file.read() if (file := tar.extractfile(info) if info.isreg() else None) else None for info in tar}


def test_what_a_program_left_is_read_after_its_exit_as_often_as_wanted(bench: Bench) -> None:
    """Whatever its exit code, with the folders it made."""
    plan = bench.plan(shell.LEAVE, out=True)
    assert bench.run_plan(plan).state.exit_code == 3
    for _ in range(2):
        assert archived(bench, plan.name) == {"out": None, "out/a": b"kept\n", "out/d": None, "out/d/b": b"x"}


def test_an_archive_may_be_closed_before_its_end(bench: Bench) -> None:
    """The next one is whole again."""
    plan = bench.plan(shell.LEAVE, out=True)
    bench.run_plan(plan)
    reading = bench.engine.archive(plan.name)
    next(reading)
    reading.close()
    assert archived(bench, plan.name)["out/a"] == b"kept\n"


def test_nothing_can_be_read_of_a_container_that_is_gone_or_has_no_such_folder(bench: Bench) -> None:
    """It is reported as missing."""
    plan, other = bench.plan(shell.LEAVE, out=True), bench.plan(shell.SPEAK)
    bench.run_plan(plan)
    bench.remove(plan)
    bench.run_plan(other)
    for name in (plan.name, other.name, "orchestrator-nowhere-1"):
        with pytest.raises(ContainerMissing):
            next(bench.engine.archive(name))


def _held(docker: Bench, plan: ContainerPlan) -> None:
    docker_out.hold(docker.engine._client, plan)


def _half_held(docker: Bench, plan: ContainerPlan) -> None:
    docker.engine._client.api.create_container_from_config(holder_config(plan), out_name(plan.name))


def _ended(docker: Bench, plan: ContainerPlan) -> None:
    _held(docker, plan)
    docker.engine._client.api.kill(out_name(plan.name))
    docker.engine._client.api.wait(out_name(plan.name))


def _created(docker: Bench, plan: ContainerPlan) -> None:
    _held(docker, plan)
    docker.engine._make(plan)


DEATHS = [_half_held, _held, _ended, _created]


@pytest.mark.parametrize("death", DEATHS)
def test_the_folder_is_held_wherever_an_earlier_worker_died(docker: Bench, death: Death) -> None:
    """A repeated create uses the existing parts, and leaves two containers and one volume."""
    plan = docker.plan(LEAVE, out=True)
    death(docker, plan)
    container = docker.engine.create(plan).id
    assert sorted(leftovers(plan.name)) == sorted([plan.name, out_name(plan.name), out_name(plan.name)])
    chunks = docker.engine.attach(container, None)
    docker.engine.start(container)
    assert joined(chunks) == {"stdout": b"", "stderr": b""}
    docker.engine.wait(container, PATIENCE)
    assert archived(docker, plan.name)["out/a"] == b"kept\n"


@pytest.mark.parametrize("death", DEATHS)
def test_what_a_dead_worker_left_is_found_and_removed_by_the_name_of_the_task(docker: Bench, death: Death) -> None:
    """Whichever of container, holder and volume there is."""
    labels = {LABEL: "left", DEPLOYMENT: uuid.uuid4().hex, TASK: "t1", ATTEMPT: "1"}
    plan = docker.plan(LEAVE, out=True, labels=labels)
    death(docker, plan)
    left = docker.engine.owned(labels[DEPLOYMENT])
    assert {(owned.name, owned.task_id, owned.attempt) for owned in left} == {(plan.name, "t1", 1)}
    docker.remove(plan)
    assert list(docker.engine.owned(labels[DEPLOYMENT])) == []


def test_adopting_leaves_the_folder_alone(docker: Bench) -> None:
    """The program's files are still there."""
    plan = docker.plan("echo kept >/out/a; exec sleep 1000", out=True)
    container = docker.engine.create(plan).id
    docker.engine.start(container)
    assert docker.engine.create(plan).adopted
    docker.engine.stop(container, 0)
    assert archived(docker, plan.name)["out/a"] is not None


@pytest.mark.parametrize("kill_first", [True, False])
def test_a_folder_whose_holder_ended_is_missing_and_not_empty(docker: Bench, *, kill_first: bool) -> None:
    """Before or after the program's exit: nothing is made of a folder that the engine would mount again."""
    plan = docker.plan(f"echo kept >/out/a; sleep {pace.seconds(1)}", out=True)
    container = docker.engine.create(plan).id
    docker.engine.start(container)
    if not kill_first:
        docker.engine.wait(container, PATIENCE)
    with library() as client:
        client.containers.get(out_name(plan.name)).kill()
    docker.engine.wait(container, PATIENCE)
    with pytest.raises(ContainerMissing, match="has ended"):
        next(docker.engine.archive(plan.name))


def test_the_folder_is_bounded_in_bytes_and_files_and_gives_no_rights(docker: Bench) -> None:
    """The program gets an error that it is full. The host's disk is not used."""
    fill = "head -c 2m /dev/zero >/out/f; wc -c </out/f; rm /out/f"
    many = "i=0; while echo >/out/$i; do i=$((i+1)); done"
    ran = docker.run(f"{fill}; ({many}); grep /out /proc/mounts", out=True, limits=SMALL)
    lines = ran.stdout.decode().splitlines()
    assert lines[0] == str(1 << 20)
    assert {"nosuid", "nodev", "nr_inodes=1024", "size=1024k"} <= {*lines[1].split()[3].split(",")}
    assert b"No space left" in ran.stderr


def test_what_is_in_the_folder_counts_as_the_memory_of_the_task(docker: Bench) -> None:
    """A folder larger than the memory ends in the memory's limit."""
    limits = Limits(memory=32 << 20, artifacts=64 << 20)
    assert out_of_memory(docker.run("head -c 60m /dev/zero >/out/f", out=True, limits=limits).state, limits)


def test_the_folder_is_there_for_a_root_and_for_any_other_user(docker: Bench) -> None:
    """Every user of a task may write."""
    for user in ("0:0", "1234:5678"):
        assert docker.run("echo x >/out/a && cat /out/a", out=True, user=user).stdout == b"x\n"


def test_the_holder_can_do_nothing_and_needs_nothing(docker: Bench) -> None:
    """One process of a few pages, without network and rights, and with a fixed user."""
    plan = docker.plan(LEAVE, out=True)
    docker.engine.create(plan)
    with library() as client:
        holder = client.containers.get(out_name(plan.name))
        host = holder.attrs["HostConfig"]
        assert (host["Privileged"], host["CapDrop"], host["CapAdd"], host["PidsLimit"]) == (False, ["ALL"], None, 1)
        assert (host["SecurityOpt"], holder.attrs["Config"]["User"]) == (["no-new-privileges"], plan.user)
        assert holder.attrs["Config"]["NetworkDisabled"]
        assert len(holder.top()["Processes"]) == 1


def test_an_image_with_nothing_in_it_can_be_held(docker: Bench) -> None:
    """The holder's program is not the image's."""
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w"):
        pass
    tag = f"orchestrator-empty:{uuid.uuid4().hex[:8]}"
    with library() as client:
        client.api.import_image_from_data(empty.getvalue(), *tag.split(":"))
        plan = evolve(docker.plan(("nothing",), out=True), image=tag)
        try:
            docker.engine.create(plan)
            assert docker.engine.inspect(out_name(plan.name)).phase is Phase.RUNNING
        finally:
            docker.remove(plan)
            client.images.remove(tag)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_the_holder_is_written_for_common_machines(architecture: str) -> None:
    """An ELF of less than a page."""
    program = docker_out.sleeper(architecture)
    assert program.startswith(b"\x7fELF")
    assert len(program) < 4096


def test_other_machines_are_told_so() -> None:
    """In words for the task's owner."""
    with pytest.raises(TaskFailure, match="engines on riscv64 cannot keep /out"):
        docker_out.sleeper("riscv64")
