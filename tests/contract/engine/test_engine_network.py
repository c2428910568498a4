"""The bridge of tasks that may have a network, and the choice of a runtime, on Docker."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.adapters.docker.network import NAME, ours
from orchestrator.errors import EngineUnfit
from orchestrator.task.labels import NETWORK
from tests.support.containers import Bench, library

INTERFACES = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | sort | tr '\\n' ' '"


def _networks() -> list[str]:
    with library() as client:
        return [network.id for network in client.networks.list(filters={"label": NETWORK})]


@pytest.fixture
def unmade(docker: Bench) -> Iterator[None]:
    """There is no network of a worker, unless another program uses one."""
    with library() as client:
        for network in client.networks.list(filters={"label": NETWORK}):
            network.reload()
            if network.containers:
                pytest.skip("a task of somebody else is on the network right now")
            network.remove()
    yield
    docker.clear()


def test_without_a_network_there_is_only_the_loopback(docker: Bench) -> None:
    """Or the kernel's own idle devices, none of which leads anywhere."""
    assert b"eth0" not in docker.run(INTERFACES).stdout
    assert docker.run("ip route").stdout == b""


@pytest.mark.usefixtures("unmade")
def test_the_network_is_a_bridge_of_our_own_made_on_demand(docker: Bench) -> None:
    """Neither the host's network nor the engine's default bridge, and one for all."""
    plans = [docker.plan(INTERFACES, network=True) for _ in range(2)]
    assert all(b"eth0" in docker.run_plan(plan).stdout for plan in plans)
    with library() as client:
        networks = [list(client.containers.get(plan.name).attrs["NetworkSettings"]["Networks"]) for plan in plans]
        (network,) = client.networks.list(filters={"label": NETWORK})
        assert networks == [[network.name]] * 2
        assert network.attrs["Driver"] == "bridge"


def test_tasks_on_it_do_not_reach_each_other(docker: Bench) -> None:
    """Inter-container traffic is off."""
    server = docker.start("nc -l -p 4000 -e echo hello", network=True)
    with library() as client:
        (network,) = client.containers.get(server).attrs["NetworkSettings"]["Networks"].values()
    if not network["IPAddress"]:
        pytest.skip("this engine gives no addresses")
    assert docker.run(f"nc -w 2 {network['IPAddress']} 4000 </dev/null", network=True).stdout == b""


@pytest.mark.usefixtures("unmade")
def test_workers_that_make_it_at_the_same_time_end_up_with_one(docker: Bench) -> None:
    """Names of networks are not unique, those of bridges are."""
    client = docker.engine._client
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ours(client), range(8)))
    assert len(made) == 1
    assert _networks() == list(made)


@pytest.mark.usefixtures("unmade")
def test_an_engine_that_refuses_the_name_of_the_bridge_gives_one_without_a_name(docker: Bench) -> None:
    """As always after it was killed between making the bridge and storing the network."""
    with library() as client:
        taken = client.networks.create("not-ours", options={"com.docker.network.bridge.name": NAME})
        try:
            assert ours(docker.engine._client) == _networks()[0] != taken.id
        finally:
            taken.remove()


def test_a_runtime_that_the_engine_has_is_used(docker: Bench) -> None:
    """The engine's default by name."""
    plan = docker.plan("true", runtime="runc")
    assert docker.run_plan(plan).state.exit_code == 0
    with library() as client:
        assert client.containers.get(plan.name).attrs["HostConfig"]["Runtime"] == "runc"


def test_a_runtime_that_the_engine_does_not_have_ends_the_task_at_once(docker: Bench) -> None:
    """The operator has allowed it, so the sentence is for the operator; it has the engine's words."""
    with pytest.raises(EngineUnfit, match=r"RUNTIMES_ALLOWED.*no-such-runtime"):
        docker.run("true", runtime="no-such-runtime")
