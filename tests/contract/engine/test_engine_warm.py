"""Containers that wait for a program: the program there is as one in a container of its own, and there is only one."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from attrs import evolve, frozen

from orchestrator.adapters.docker.container_config import TMP
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.warm import PREFIX
from orchestrator.errors import ContainerMissing, Interrupted
from orchestrator.ports import ContainerPlan, Created, Phase, Warmth
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, LIFETIME, NONCE, TASK, WARM, WORKER
from orchestrator.task.limits import Limits
from tests.contract.engine import shell
from tests.support import pace
from tests.support.containers import OURS, PATIENCE, WHERE, Bench, joined, library, out_of_memory
from tests.support.worker_process import until

Program = tuple[str, ...]


@frozen
class Pool:
    """An engine that keeps containers waiting, and a bench on it."""

    docker: DockerEngine
    bench: Bench

    def take(self, plan: ContainerPlan) -> Created:
        """The plan's container, taken once one waits."""
        self.wait()
        created = self.docker.create(plan)
        assert created.warm is Warmth.TAKEN
        return created

    def wait(self) -> None:
        """Until one waits, for long enough to be taken."""
        until(lambda: any(each.settled for each in self.docker._warm._waiting))

    def die(self) -> None:
        """As when the process is killed: the engine sees the ends of its connections, and nothing is removed."""
        pool = self.docker._warm
        pool._wanted, pool._remove = (), lambda *_: None
        with pool._changed:
            pool._changed.notify_all()
        until(lambda: pool._thread is None)
        for taken in self.docker._taken._facts.values():
            taken.waiting.close()


@contextmanager
def pool_of(bench: Bench) -> Iterator[Pool]:
    """Another worker process on the engine: one container waits. ``bench`` removes what was made of its plans."""
    engine = DockerEngine(WHERE)
    plan = evolve(bench.plan(()), name="", command=None, labels={DEPLOYMENT: OURS, WORKER: "one"})
    engine.keep_warm([(plan, 1)])
    try:
        yield Pool(engine, Bench(engine, bench.owners))
    finally:
        engine.close()
        for owned in bench.engine.owned(OURS):
            if owned.name.startswith(PREFIX):
                bench.engine.remove(owned.name, OURS)


@pytest.fixture
def pool(docker: Bench) -> Iterator[Pool]:
    """One container waits. Afterwards none of this test is left."""
    with pool_of(docker) as made:
        yield made


def task_plan(bench: Bench, command: str | Program, task: str = "t", **changes: object) -> ContainerPlan:
    """A plan with the labels of a task."""
    plan = bench.plan(command, **changes)
    ours = {TASK: f"{task}-{plan.name}", ATTEMPT: "1", NONCE: "n1", LIFETIME: "90", WORKER: "one", DEPLOYMENT: OURS}
    return evolve(plan, labels=plan.labels | ours)


LIKE_COLD = {
    "says": {"command": shell.SPEAK},
    "variables": {"command": "env | sort", "env": {"A": "1", "PATH": "/bin", "HOME": TMP, "EMPTY": "", "B": "x=y"}},
    "variables, none given": {"command": "env | sort"},
    "a working folder": {"command": "pwd", "working_dir": TMP},
    "its input": {"command": "cat; echo end", "stdin": b"\0given\n" * 100},
    "a long input": {"command": "wc -c", "stdin": bytes(3 << 20)},
    "an empty input": {"command": "cat; echo end", "stdin": b""},
    "no input": {"command": "cat; ls -l /proc/self/fd/0 | sed 's/.*-> //'"},
    "an entrypoint": {"command": ("b", "c"), "entrypoint": ("echo", "a")},
    "not there": {"command": ("nowhere", "x")},
    "not there, by its path": {"command": ("/nowhere", "x")},
    "no name": {"command": ("",)},
    "a name that is too long": {"command": ("x" * 300,)},
    "not executable": {"command": ("/etc/passwd",)},
    "a folder": {"command": ("/etc",)},
    "below a file": {"command": ("/etc/passwd/x",)},
    "without a search path": {"command": ("ls", "/etc/passwd"), "env": {"PATH": ""}},
    "a search path with a file and a gap": {"command": ("echo", "x"), "env": {"PATH": "/etc/passwd::/nowhere:/bin"}},
    "only refused on its search path": {"command": ("passwd",), "env": {"PATH": "/nowhere:/etc"}},
    "a signal of its own": {"command": "kill -SEGV $$"},
    "who it is": {"command": "id; umask; ulimit -a; cat /proc/self/status | grep -E '^(Cap|NoNew|Seccomp:|Sig[BIC])'"},
    "where it is": {"command": "cat /etc/hosts; hostname; grep -vE 'handover' /proc/mounts | sed 's/[a-zA-Z0-9]*dir=[^ ]*//'"},
    "its processes": {"command": "set -- /proc/[0-9]*; echo $#; cat /proc/self/oom_score_adj /proc/self/limits"},
    "what it holds": {"command": "ls /proc/self/fd; cat /proc/1/comm; cat /proc/1/environ | tr '\\0' '\\n' | grep -c ="},
}


@pytest.mark.parametrize("case", LIKE_COLD)
def test_a_program_is_as_in_a_container_of_its_own(pool: Pool, docker: Bench, case: str) -> None:
    """Exit code, both streams, live and from the log."""
    fields = dict(LIKE_COLD[case])
    command = fields.pop("command")
    cold = docker.run(command, **fields)
    plan = docker.plan(command, **fields)
    container = pool.take(plan).id
    with closing(pool.docker.attach(container, plan.stdin)) as chunks:
        pool.docker.start(container)
        state, live = pool.docker.wait(container, PATIENCE), joined(chunks)
    told = {"stdout": _without_ids(cold.stdout), "stderr": _without_ids(cold.stderr)}
    assert (state.phase, state.exit_code) == (Phase.EXITED, cold.state.exit_code)
    assert {stream: _without_ids(data) for stream, data in live.items()} == told
    assert docker.logged(container) == live


def _without_ids(output: bytes) -> bytes:
    """The init names its child by a number that differs from start to start."""
    return re.sub(rb"tini \(\d+\)", b"tini (N)", output)


def test_time_and_figures_count_from_the_begin_of_the_program(pool: Pool) -> None:
    """However long its container has waited; for who handed it over and for who adopts it."""
    pool.wait()
    made = min(each.made_at for each in pool.docker._warm._waiting)
    until(lambda: time.monotonic() - made > pace.seconds(1.5))
    plan = task_plan(pool.bench, "head -c 20000000 /dev/zero | tail -c 1 >/tmp/x")
    container = pool.take(plan).id
    pool.docker.start(container)
    state = pool.docker.wait(container, PATIENCE)
    with another() as heir:
        adopted = heir.inspect(container)
    assert max(state.ran_for, adopted.ran_for) < pace.seconds(1.5)
    assert abs(state.ran_for - adopted.ran_for) < pace.seconds(0.5)
    assert state.counted == adopted.counted


def test_a_limit_of_memory_is_kept_and_told(pool: Pool) -> None:
    """As in a container of its own."""
    container = pool.take(pool.bench.plan("tail /dev/zero")).id
    probe = pool.docker.start(container)
    state = pool.docker.wait(container, PATIENCE)
    assert (state.exit_code, out_of_memory(state, Limits())) == (137, True)
    probe.close()


def test_a_full_folder_is_told(pool: Pool) -> None:
    """Its folders are held from before it begins."""
    container = pool.take(pool.bench.plan("cat /dev/zero >/tmp/x")).id
    probe = pool.docker.start(container)
    pool.docker.wait(container, PATIENCE)
    if os.geteuid() == 0:
        assert probe.close() == [TMP]


MISFITS: dict[Warmth, dict[str, object]] = {
    Warmth.FILES: {"files": {"a": b"x"}},
    Warmth.ARTIFACTS: {"out": True},
    Warmth.INIT: {"init": False},
    Warmth.USER: {"user": "1000"},
    Warmth.LIMITS: {"limits": Limits(memory=64 << 20)},
    Warmth.FOLDER: {"working_dir": "/etc"},
    Warmth.PROGRAM: {"command": ("echo", *["x" * 100_000] * 5)},
}


@pytest.mark.parametrize("why", MISFITS)
def test_what_does_not_fit_gets_a_container_of_its_own(pool: Pool, why: Warmth) -> None:
    """And runs there."""
    pool.wait()
    plan = evolve(pool.bench.plan(shell.SPEAK), **MISFITS[why])
    created = pool.docker.create(plan)
    assert (created.adopted, created.warm, len(pool.docker._warm._waiting)) == (False, why, 1)
    pool.docker.start(created.id)
    assert pool.docker.wait(created.id, PATIENCE).exit_code in {0, 3}


def test_waiting_containers_go_with_the_pool(docker: Bench) -> None:
    """And their control groups."""
    others = _waiting()
    with pool_of(docker) as pool:
        pool.wait()
        names = _waiting() - others
        assert len(names) == 1
    assert not _waiting() & names
    assert not [owned for owned in docker.engine.owned(OURS) if owned.name in names]


def test_what_a_dead_worker_kept_waiting_is_swept(docker: Bench) -> None:
    """It ends by itself, and any worker of the deployment finds and removes it. One that waits is found by nobody."""
    others = _waiting()
    with pool_of(docker) as pool:
        pool.wait()
        (name,) = _waiting() - others
        assert name not in {owned.name for owned in docker.engine.owned(OURS)}
        pool.die()
        until(lambda: name in {owned.name for owned in docker.engine.owned(OURS)})
        docker.engine.remove(name, OURS, None)
    assert name not in {owned.name for owned in docker.engine.owned(OURS)}


Death = Callable[[Pool, str], None]


def _named(_: Pool, __: str) -> None:
    """The container has its task's name."""


def _attached(pool: Pool, container: str) -> None:
    pool.docker.attach(container, None)


def _told_half(pool: Pool, container: str) -> None:
    taken = pool.docker._taken.get(container)
    assert taken
    told = taken.handover.packed()
    taken.waiting.stdin.sendall(told[: len(told) // 2])


def _told_all(pool: Pool, container: str) -> None:
    taken = pool.docker._taken.get(container)
    assert taken
    taken.waiting.stdin.sendall(taken.handover.packed())


@pytest.mark.parametrize("death", [_named, _attached, _told_half])
def test_a_worker_that_dies_before_the_program_began_leaves_nothing_begun(docker: Bench, death: Death) -> None:
    """The container is as one that was never started: the next worker replaces it, and the program runs once, there."""
    with pool_of(docker) as pool, another() as heir:
        plan = task_plan(docker, shell.SPEAK)
        first = pool.take(plan).id
        death(pool, first)
        assert heir.inspect(plan.name).phase is Phase.CREATED
        pool.die()
        until(lambda: _raw(first) == "exited")
        assert heir.inspect(plan.name).phase is Phase.CREATED
        second = heir.create(plan)
        assert (second.adopted, second.id != first) == (False, True)
        with closing(heir.attach(second.id, None)) as chunks:
            heir.start(second.id)
            assert heir.wait(second.id, PATIENCE).exit_code == 3
            assert joined(chunks) == {"stdout": b"out\n", "stderr": b"err\n"}
        heir.remove(plan.name, OURS, "n1")


@pytest.mark.parametrize("command", [shell.SPEAK, shell.SLEEP])
def test_a_program_whose_worker_dies_once_it_was_told_is_adopted(docker: Bench, command: Program) -> None:
    """It has the labels of its task for every worker, is not started again, and is found by its nonce only."""
    with pool_of(docker) as pool, another() as heir:
        plan = task_plan(docker, command)
        first = pool.take(plan).id
        _told_all(pool, first)
        pool.die()
        until(lambda: heir.inspect(first).phase is not Phase.CREATED)
        assert heir.create(plan) == Created(first, adopted=True)
        assert plan.labels.items() <= heir.inspect(plan.name).labels.items()
        if command is shell.SPEAK:
            assert heir.wait(first, PATIENCE).exit_code == 3
            assert joined(heir.read_log(first)) == {"stdout": b"out\n", "stderr": b"err\n"}
        heir.remove(plan.name, OURS, "n2")
        assert heir.inspect(first).id == first
        heir.remove(plan.name, OURS, "n1")
        with pytest.raises(ContainerMissing):
            heir.inspect(first)


def test_a_worker_that_was_frozen_before_it_told_the_program_begins_nothing(docker: Bench) -> None:
    """Another worker has removed the container by then."""
    with pool_of(docker) as pool, another() as heir:
        plan = task_plan(docker, shell.SPEAK)
        first = pool.take(plan).id
        second = heir.create(plan)
        assert not second.adopted
        with pytest.raises(ContainerMissing):
            pool.docker.start(first)
        assert heir.inspect(plan.name).id == second.id
        heir.remove(plan.name, OURS)


def test_a_program_that_begins_as_its_container_is_withdrawn_is_not_begun_again(
    docker: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that removes sees it only after the kill."""
    with pool_of(docker) as pool, another() as heir:
        plan = task_plan(docker, shell.SLEEP)
        first = pool.take(plan).id
        kill = heir._kill

        def begins_first(container: str, signal: str) -> bool:
            pool.docker.start(first)
            return kill(container, signal)

        monkeypatch.setattr(heir, "_kill", begins_first)
        with pytest.raises(Interrupted):
            heir.create(plan)
        assert heir.inspect(first).exit_code == 137


def test_a_program_that_is_late_is_found_by_any_worker(pool: Pool) -> None:
    """By the time that its task has, from its begin. A container that waits has no such time."""
    plan = task_plan(pool.bench, shell.SLEEP)
    plan = evolve(plan, labels=plan.labels | {LIFETIME: "0"})
    container = pool.take(plan).id
    pool.wait()
    with another() as other:
        assert container not in other.overdue()
        pool.docker.start(container)
        until(lambda: container in other.overdue())
        assert not {*other.overdue()} & {each.id for each in pool.docker._warm._waiting}


def test_no_container_is_taken_twice(docker: Bench) -> None:
    """Threads that ask at the same time get different ones, or none; each program runs once, in a container that is new."""
    with pool_of(docker) as pool:
        plans = [docker.plan(f"echo {number}; ls /tmp | wc -l; echo x >/tmp/{number}") for number in range(8)]
        ran: dict[int, tuple[str, dict[str, bytes]]] = {}

        def run(number: int) -> None:
            created = pool.docker.create(plans[number])
            with closing(pool.docker.attach(created.id, None)) as chunks:
                pool.docker.start(created.id)
                ran[number] = created.id, joined(chunks)

        pool.wait()
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({container for container, _ in ran.values()}) == 8
        assert all(output["stdout"] == b"%d\n0\n" % number for number, (_, output) in ran.items())


@contextmanager
def another() -> Iterator[DockerEngine]:
    """The engine as another worker process has it, which keeps none waiting."""
    with closing(DockerEngine(WHERE)) as engine:
        yield engine


def _waiting() -> set[str]:
    """The names of the containers of all tests that wait."""
    with library() as client:
        found = client.api.containers(all=True, filters={"label": [WARM, f"{DEPLOYMENT}={OURS}"]})
        return {each["Labels"][WARM] for each in found if f"/{each['Labels'][WARM]}" in each["Names"]}


def _raw(container: str) -> str:
    with library() as client:
        return str(client.api.inspect_container(container)["State"]["Status"])
