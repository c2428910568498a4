"""The surroundings of a program, and the results of mistakes in a plan, on Docker."""

from collections.abc import Iterator, Mapping

import pytest
from attrs import evolve

from orchestrator.adapters.docker.container_config import NAME_FILES
from orchestrator.cause import Cause
from orchestrator.errors import ImageUnavailable, InfrastructureError, TaskFailure
from orchestrator.ports import Phase
from orchestrator.task.limits import Limits
from tests.support import pace
from tests.support.containers import IMAGE, LABEL, PATIENCE, Bench, library, out_of_memory

MEBI = 1 << 20


def _status(docker: Bench, **changes: object) -> Mapping[str, str]:
    text = docker.run("cat /proc/self/status", **changes).stdout.decode()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_a_program_has_no_privileges(docker: Bench) -> None:
    """Neither capabilities nor a way to gain any, a filter on system calls, and an ordinary user."""
    status = _status(docker)
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65534"}


def test_root_has_no_capabilities_either(docker: Bench) -> None:
    """Where settings allow uid 0, it is still powerless."""
    status = _status(docker, user="0:0")
    assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Uid"].split()[0]) == (0, "1", "0")


def test_only_scratch_folders_can_be_written(docker: Bench) -> None:
    """All of the image is read-only, for root too."""
    script = "for folder in / /etc /usr /bin /task /root; do (echo x > $folder/x) 2>/dev/null && echo wrote $folder; done; true"
    assert docker.run(script, user="0:0").stdout == b""
    assert docker.run("echo x > /tmp/x && echo x > /dev/shm/x && cat /tmp/x /dev/shm/x").stdout == b"x\nx\n"


def test_a_program_in_tmp_can_be_run(docker: Bench) -> None:
    """Compilers and installers want that; set-uid bits have no effect there."""
    assert docker.run("cp /bin/busybox /tmp/echo && /tmp/echo ran").stdout == b"ran\n"
    mounts = docker.run("grep -E ' /(tmp|dev/shm) ' /proc/mounts").stdout.decode().splitlines()
    assert all({"nosuid", "nodev"} <= set(line.split()[3].split(",")) for line in mounts)
    assert len(mounts) == 2


def test_scratch_folders_are_bounded_in_bytes_and_files(docker: Bench) -> None:
    """A program that fills them gets an error that they are full."""
    limits = Limits(tmp=4 * MEBI)
    assert b"No space left" in docker.run("dd if=/dev/zero of=/tmp/x bs=1M count=5", limits=limits).stderr
    assert b"No space left" in docker.run("dd if=/dev/zero of=/dev/shm/x bs=1M count=65").stderr
    count = docker.run("i=0; while true > /tmp/$i; do i=$((i + 1)); done 2>/dev/null; ls /tmp | wc -l", limits=limits)
    assert int(count.stdout) == 1023
    assert docker.run("df -i /dev/shm | tail -n 1").stdout.split()[1] == b"16384"


def test_there_is_no_network(docker: Bench) -> None:
    """Only a loopback of its own."""
    ran = docker.run("ls /sys/class/net; wget -T 2 -q http://1.1.1.1/ || echo refused")
    assert ran.stdout == b"lo\nrefused\n"


def test_limits_are_those_of_the_plan(docker: Bench) -> None:
    """CPUs, memory without swap, processes without counting init, and no core dumps; a file may have holes."""
    plan = docker.plan("ulimit -c; ulimit -Hc; ulimit -f", limits=Limits(cpus=0.5, memory=32 * MEBI, pids=7))
    assert docker.run_plan(plan).stdout == b"0\n0\nunlimited\n"
    with library() as client:
        host = client.containers.get(plan.name).attrs["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (5 * 10**8, 32 * MEBI, 32 * MEBI, 8)


def test_a_task_may_have_as_many_processes_as_its_limit_says(docker: Bench) -> None:
    """One is enough for a program that does not fork; a shell that forks twice needs three."""
    assert docker.run(("true",), limits=Limits(pids=1)).state.exit_code == 0
    nap = f"sleep {pace.seconds(0.3)}"
    script = f"{nap} & {nap} & wait; echo both"
    assert docker.run(script, limits=Limits(pids=3)).stdout == b"both\n"
    assert b"can't fork" in docker.run(script, limits=Limits(pids=2)).stderr


def test_running_out_of_memory_is_told(docker: Bench) -> None:
    """A kill by the kernel can be distinguished from any other."""
    limits = Limits(memory=32 * MEBI)
    state = docker.run("exec tail /dev/zero", limits=limits).state
    assert (state.exit_code, out_of_memory(state, limits)) == (137, True)
    assert not out_of_memory(docker.run("kill -9 $$", limits=limits).state, limits)


@pytest.mark.parametrize(
    ("command", "changes", "code"),
    [
        (("no-such-program",), {}, 127),
        (("/no/such/program",), {}, 127),
        (("/etc/passwd",), {}, 126),
        (("/bin",), {}, 126),
        (("",), {}, 127),
        (("no-such-program",), {"working_dir": "/no/such/folder"}, 127),
    ],
)  # fmt: skip
def test_what_cannot_be_run_exits_as_in_a_shell(
    docker: Bench, command: tuple[str, ...], changes: Mapping[str, object], code: int
) -> None:
    """127 for a missing file, 126 for a file that is not a program. The reason is on stderr."""
    ran = docker.run(command, **changes)
    assert (ran.state.phase, ran.state.exit_code) == (Phase.EXITED, code)
    assert b"failed" in ran.stderr


@pytest.mark.parametrize(("number", "code"), [("SEGV", 139), ("ABRT", 134), ("FPE", 136), ("TERM", 143)])
def test_a_signal_shows_in_the_exit_code(docker: Bench, number: str, code: int) -> None:
    """128 and the signal's number, as a shell says it, though the program is the first in its container."""
    assert docker.run(f"kill -{number} $$").state.exit_code == code


def test_a_missing_working_folder_is_made(docker: Bench) -> None:
    """As ``docker run`` does."""
    assert docker.run(("pwd",), working_dir="/no/such/folder").stdout == b"/no/such/folder\n"


def test_environment_and_command_arrive_as_they_are(docker: Bench) -> None:
    """Spaces, quotes, newlines, dollar signs and letters beyond ASCII."""
    odd = "a b\n\"c\" $HOME 'd' é=\\"
    assert docker.run('echo "$ODD"', env={"ODD": odd}).stdout.decode() == odd + "\n"
    assert docker.run(("echo", odd)).stdout.decode() == odd + "\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": Limits(cpus=4096.0)},
        {"working_dir": "/bin/busybox"},
        {"user": "4294967296"},
        {"working_dir": "/proc/no-such-folder"},
    ],
    ids=["more CPUs than there are", "working folder is a file", "no such user id", "working folder cannot be made"],
)
def test_a_plan_that_the_engine_refuses_is_invalid(docker: Bench, changes: Mapping[str, object]) -> None:
    """The task ends as invalid and is not tried again."""
    with pytest.raises(TaskFailure) as caught:
        docker.run(("true",), **changes)
    assert caught.value.cause is Cause.INVALID


def test_an_image_that_went_away_is_unavailable(docker: Bench) -> None:
    """Another program removed it between the pull and the creation."""
    with pytest.raises(ImageUnavailable, match="no-such-image"):
        docker.engine.create(docker.plan("true", image="no-such-image:1"))


def test_a_name_that_belongs_to_somebody_else_is_left_alone(docker: Bench) -> None:
    """A container with other labels is neither adopted nor touched."""
    plan = docker.plan("exec sleep 1000")
    container = docker.engine.create(plan).id
    with pytest.raises(InfrastructureError, match="other labels"):
        docker.engine.create(evolve(plan, labels={LABEL: "another"}))
    assert docker.engine.inspect(container).phase is Phase.CREATED


@pytest.fixture
def odd_image(docker: Bench) -> Iterator[str]:
    """An image that asks for a volume at /data, has a health check, and keeps its /tmp to root."""
    name = "orchestrator-test-odd:1"
    with library() as client:
        source = client.containers.create(IMAGE, ["chmod", "755", "/tmp"])  # noqa: S108
        source.start()
        source.wait()
        changes = ["VOLUME /data", "HEALTHCHECK --interval=1s CMD touch /tmp/checked"]
        source.commit(*name.split(":"), changes=changes)
        source.remove()
        yield name
        docker.clear()
        client.images.remove(name)


def test_a_volume_that_the_image_asks_for_takes_no_disk(docker: Bench, odd_image: str) -> None:
    """It becomes a bounded folder in memory that the program can write."""
    plan = docker.plan("echo x > /data/x && grep ' /data ' /proc/mounts", image=odd_image)
    assert docker.run_plan(plan).stdout.startswith(b"tmpfs /data tmpfs ")
    with library() as client:
        assert [mount["Type"] for mount in client.containers.get(plan.name).attrs["Mounts"]] == ["bind"] * len(NAME_FILES)


def test_tmp_can_be_written_whatever_the_image_says_and_its_health_check_stays_out(docker: Bench, odd_image: str) -> None:
    """The program finds its own file in /tmp, and nothing that it did not put there."""
    assert docker.run(f"echo x > /tmp/mine; sleep {pace.seconds(1.5)}; ls /tmp", image=odd_image).stdout == b"mine\n"


def test_all_processes_die_with_the_program(docker: Bench) -> None:
    """Orphans in sessions of their own do not keep the container."""
    plan = docker.plan("for i in $(seq 20); do setsid sleep 1000 & done; echo out")
    ran = docker.run_plan(plan)
    assert (ran.state.phase, ran.stdout) == (Phase.EXITED, b"out\n")
    assert ran.state.ran_for < PATIENCE
