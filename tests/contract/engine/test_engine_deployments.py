"""Facts of an engine without the database: the deployments of its containers, and the programs that run too long."""

from orchestrator.execution.naming import container_name
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, LIFETIME, TASK, WORKER
from tests.contract.engine.shell import NAP, SLEEP
from tests.support.containers import Bench
from tests.support.worker_process import until


def labels(lifetime: str, deployment: str = "test-lost") -> dict[str, str]:
    """The labels of a task's container."""
    return {TASK: "t", ATTEMPT: "1", WORKER: "one", DEPLOYMENT: deployment, LIFETIME: lifetime}


def test_containers_are_counted_for_each_deployment(bench: Bench) -> None:
    """Whether they run or not."""
    bench.start(SLEEP, labels=labels("900"))
    bench.engine.create(bench.plan(NAP, labels=labels("900")))
    bench.engine.create(bench.plan(NAP, labels=labels("900", "test-other")))
    found = bench.engine.deployments()
    assert (found["test-lost"], found["test-other"]) == (2, 1)


def test_a_program_is_overdue_once_it_has_run_for_its_lifetime(bench: Bench) -> None:
    """One that was not started, has exited, has time left or has none named is not."""
    over, within = (bench.start(SLEEP, labels=labels(lifetime)) for lifetime in ("1", "900"))
    unlimited = bench.start(SLEEP, labels={key: value for key, value in labels("1").items() if key != LIFETIME})
    idle = bench.engine.create(bench.plan(SLEEP, labels=labels("1"))).id
    exited = bench.start(NAP, labels=labels("0"))
    bench.engine.wait(exited, 30)
    bench.engine.wait(over, 1.5)
    until(lambda: over in bench.engine.overdue())
    assert {within, unlimited, idle, exited}.isdisjoint(bench.engine.overdue())
    bench.engine.stop(over, 0)
    assert over not in bench.engine.overdue()


def test_the_pause_container_of_an_overdue_program_is_not_ended(docker: Bench) -> None:
    """The files in /out end with the pause container, and the task still needs them when it is adopted."""
    plan = docker.plan(SLEEP, labels=labels("1"), out=True)
    program = docker.engine.create(plan).id
    docker.engine.start(program)
    until(lambda: program in docker.engine.overdue())
    holder = docker.engine.inspect(f"{plan.name}-out").id
    assert holder not in docker.engine.overdue()


def test_a_task_whose_id_ends_like_the_name_of_a_volume_is_a_task_like_any_other(docker: Bench) -> None:
    """Its program is overdue, it is found by its own name, and its container stays if another task's is removed."""
    plans = [docker.plan(SLEEP, name=container_name(task_id, 1), labels=labels("1")) for task_id in ("test-y-1-kept", "test-y")]
    programs = [docker.engine.create(plan).id for plan in plans]
    for program in programs:
        docker.engine.start(program)
    until(lambda: {*programs} <= {*docker.engine.overdue()})
    assert {plan.name for plan in plans} <= {each.name for each in docker.engine.owned("test-lost")}
    docker.remove(plans[1])
    assert docker.engine.inspect(plans[0].name).id == programs[0]


def test_an_engine_names_its_start(bench: Bench) -> None:
    """The id stays the same while the engine runs."""
    assert bench.engine.start_id()
    assert bench.engine.start_id() == bench.engine.start_id()
