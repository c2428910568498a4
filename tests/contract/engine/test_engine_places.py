"""The folders of an image in a task: its volumes, the working folder and the home of a program, on Docker."""

from collections.abc import Iterator

import pytest

from orchestrator.adapters.docker.container_config import TMP
from orchestrator.cause import Cause
from orchestrator.errors import TaskFailure
from orchestrator.ports import PullPolicy
from orchestrator.task.limits import Limits
from tests.support.containers import IMAGE, Bench, leftovers, library

MEBI = 1 << 20
NAME = "orchestrator-test-places:1"
CHANGES = ["VOLUME /app", "VOLUME /data", "VOLUME /none", "WORKDIR /tmp/work", "ENV HOME=/root"]
CONTENT = "mkdir /app /data; echo 'echo ran; cat /app/deep/er' > /app/run.sh; mkdir /app/deep; echo deep > /app/deep/er"


@pytest.fixture
def image(docker: Bench) -> Iterator[str]:
    """An image with a program in one of its volumes, an empty one and one that is not there."""
    with library() as client:
        source = client.containers.create(IMAGE, ["sh", "-c", CONTENT])
        source.start()
        source.wait()
        source.commit(*NAME.split(":"), changes=CHANGES)
        source.remove()
        docker.engine.pull(NAME, PullPolicy.NEVER)  # as each task does
        yield NAME
        docker.clear()
        client.images.remove(NAME)


def test_a_program_in_a_volume_of_its_image_runs(docker: Bench, image: str) -> None:
    """It is the image's, so it cannot be written to, not even by root; volumes without content can be."""
    assert docker.run(("sh", "/app/run.sh"), image=image).stdout == b"ran\ndeep\n"
    script = "for f in /app /app/deep /data /none; do (echo x > $f/x) 2>/dev/null && echo $f; done; true"
    assert docker.run(script, image=image, user="0:0").stdout == b"/data\n/none\n"


def test_what_is_kept_of_a_volume_goes_with_the_container(docker: Bench, image: str) -> None:
    """The engine's copy is on its disk until then, and nothing that looked into the image is left."""
    plan = docker.plan("true", image=image, out=True, files={"a": b"b"})
    docker.run_plan(plan)
    with library() as client:
        mounts = client.containers.get(plan.name).attrs["Mounts"]
        (copied,) = (mount["Name"] for mount in mounts if mount["Destination"] == "/app")
        docker.remove(plan)
        assert leftovers(plan.name) == []
        assert copied not in {volume.name for volume in client.volumes.list()}


def test_an_image_under_the_same_name_is_looked_into_again(docker: Bench, image: str) -> None:
    """The result belongs to the image, not to its name."""
    assert docker.run("ls /app /data", image=image).stdout == b"/app:\ndeep\nrun.sh\n\n/data:\n"
    with library() as client:
        source = client.containers.create(IMAGE, ["sh", "-c", "mkdir /data; echo y > /data/y"])
        source.start()
        source.wait()
        source.commit(*image.split(":"), changes=["VOLUME /data"])
        source.remove()
    docker.engine.pull(image, PullPolicy.NEVER)  # as each task does
    assert docker.run("ls /data; pwd", image=image).stdout == b"y\n/\n"


@pytest.mark.parametrize("folder", ["/tmp/work", "/tmp/a/b", "/dev/shm/x", "/out/a/b", "/data/x"])  # noqa: S108
def test_a_working_folder_in_a_scratch_folder_is_the_tasks_own(docker: Bench, image: str, folder: str) -> None:
    """The task or the image may name it."""
    given = None if folder == "/tmp/work" else folder  # noqa: S108
    ran = docker.run("pwd; echo x > f && mkdir d && cat f", image=image, working_dir=given, out=True)
    assert (ran.stdout.decode(), ran.stderr) == (f"{folder}\nx\n", b"")


def test_what_is_written_in_a_working_folder_below_out_is_kept(docker: Bench) -> None:
    """It is a folder of /out, not a mount of its own."""
    plan = docker.plan("echo kept > f", working_dir="/out/a/b", out=True)
    docker.run_plan(plan)
    archive = b"".join(docker.engine.archive(plan.name))
    assert b"out/a/b/f" in archive
    assert b"kept\n" in archive


def test_a_working_folder_that_cannot_be_made_is_the_tasks_fault(docker: Bench) -> None:
    """Files below /task come from the task."""
    with pytest.raises(TaskFailure, match="read-only file system") as caught:
        docker.run(("true",), working_dir="/task/x", files={"a": b"b"})
    assert caught.value.cause is Cause.INVALID


@pytest.mark.parametrize(
    ("changes", "home"),
    [
        ({}, TMP),
        ({"user": "0:0"}, "/root"),
        ({"env": {"HOME": "/none"}}, "/none"),
    ],
)  # fmt: skip
def test_a_program_is_at_home_where_it_can_write(docker: Bench, image: str, changes: dict[str, object], home: str) -> None:
    """Unless the image has a home for its user, or the task names one."""
    assert docker.run("echo $HOME", image=image, **changes).stdout.decode() == f"{home}\n"


def test_shared_memory_is_as_large_as_its_limit(docker: Bench) -> None:
    """A browser or a data loader needs much of it."""
    fits = "dd if=/dev/zero of=/dev/shm/x bs=1M count=70 2>&1 | tail -n 1"
    assert b"70" in docker.run(fits, limits=Limits(shm=80 * MEBI)).stdout
    assert b"No space left" in docker.run("dd if=/dev/zero of=/dev/shm/x bs=1M count=5", limits=Limits(shm=4 * MEBI)).stderr


def test_a_file_with_holes_may_be_larger_than_any_folder(docker: Bench) -> None:
    """Only what is written costs anything."""
    program = """
import mmap, os
for place in (os.memfd_create("x"), os.open("/tmp/sparse", os.O_RDWR | os.O_CREAT)):
    os.ftruncate(place, 8 << 30)
    with mmap.mmap(place, 8 << 30) as mapped:
        mapped[7 << 30] = 1
        print(mapped[7 << 30], os.fstat(place).st_size >> 30)
"""
    ran = docker.run(("python3", "-c", program), image="orchestrator-python:1")
    assert (ran.stdout, ran.stderr) == (b"1 8\n1 8\n", b"")


def test_open_files_cost_the_task_memory(docker: Bench) -> None:
    """So a limit of its own would protect nothing: processes that open all they can are ended at the memory limit."""
    program = """
import os
told, tell = os.pipe()
for _ in range(60):
    if os.fork() == 0:
        try:
            while True:
                os.open("/dev/null", os.O_RDONLY)
        except OSError:
            os.write(tell, b"x")
            while True:
                os.read(told, 0)
    os.read(told, 1)
"""
    limits = Limits(memory=32 * MEBI)
    ran = docker.run(("python3", "-c", program), image="orchestrator-python:1", limits=limits)
    assert (ran.state.exit_code, ran.state.oom_killed) == (137, True)


@pytest.mark.parametrize(("init", "first"), [(True, b"docker-init"), (False, b"sh")])
def test_the_first_process_is_an_init_unless_the_task_says_otherwise(docker: Bench, *, init: bool, first: bytes) -> None:
    """It reaps, and a signal without a handler ends the program; a container's own init wants to be the first itself."""
    ran = docker.run("tr '\\0' ' ' < /proc/1/cmdline; echo; echo $$", init=init, limits=Limits(pids=3))
    command, pid = ran.stdout.splitlines()
    assert first in command.split(b" ")[0]
    assert (pid == b"1") is not init


def test_a_program_without_an_init_is_ended_all_the_same(docker: Bench) -> None:
    """TERM does not reach one without a handler; KILL does."""
    container = docker.start("echo ready; while :; do sleep 1; done", init=False)
    next(iter(docker.engine.read_log(container)))
    assert docker.engine.stop(container, 0.2)
    assert docker.engine.inspect(container).exit_code == 137


def test_an_entrypoint_of_the_task_replaces_that_of_the_image(docker: Bench) -> None:
    """As with `docker run --entrypoint`: the command goes to it, and none at all makes the command the program."""
    plan = docker.plan(("a b", "c"), entrypoint=("sh", "-c", 'echo "$0,$1"'))
    assert docker.run_plan(plan).stdout == b"a b,c\n"
    assert docker.run_plan(docker.plan(("echo", "bare"), entrypoint=())).stdout == b"bare\n"
