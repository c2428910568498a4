"""A worker process with real containers: how it is stopped, what it tells probes meanwhile, and what its waiting costs."""

import hashlib
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode

from orchestrator.adapters.redis.client import redis_client
from orchestrator.cli.worker import HANDED_OVER
from orchestrator.client import Client
from orchestrator.embedded.ports import choose_ports
from scripts import bench
from tests.support import pace
from tests.support.containers import library
from tests.support.installation import Installation
from tests.support.probes import asked
from tests.support.worker_process import until

WORKER = (sys.executable, "-m", "orchestrator", "worker")
MOST = 100
"""MB that the worker may have while it waits for all the containers of ``bench``."""


def running(installation: Installation, task_id: str) -> str:
    """Wait until the task runs; the id of its container."""
    until(lambda: installation.document(task_id)["status"] == "running")
    return str(installation.document(task_id)["container"]["id"])


def test_a_drain_that_lasts_too_long_leaves_the_container_to_the_next_worker(installation: Installation) -> None:
    """After one SIGTERM: the exit code says so, and the program never notices."""
    leaving = installation.start(*WORKER, "--drain-timeout", "1s")
    task_id = installation.submit(f"echo begun; sleep {pace.seconds(6)}; echo ended")
    container = running(installation, task_id)
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(pace.seconds(30)) == HANDED_OVER == 3
    with library() as engine:
        assert engine.containers.get(container).status == "running"
    assert installation.document(task_id)["status"] == "running"
    installation.start()
    document = installation.ended(task_id)
    assert (document["status"], document["attempt"], document["container"]["id"]) == ("succeeded", 1, container)
    assert installation.object(document, "stdout")[0] == b"begun\nended\n"
    with library() as engine:
        assert document["metrics"]["duration_s"] > 5
        until(lambda: not [each for each in engine.containers.list(all=True, ignore_removed=True) if each.id == container])


def test_workers_that_are_replaced_one_after_the_other_cost_a_program_with_much_input_nothing(
    installation: Installation,
) -> None:
    """Not even if the last one is killed: it runs once, and gets every byte of its input."""
    stdin = bytes(range(256)) * 4096
    script = f"while [ ! -e /tmp/go ]; do echo waits; sleep {pace.seconds(0.2)}; done; sha256sum"
    task_id = installation.submit(script, stdin={"base64": b64encode(stdin).decode()}, limits={"timeout": pace.seconds(600)})
    holders: list[str] = []
    for leaves in (HANDED_OVER, HANDED_OVER, HANDED_OVER, -signal.SIGKILL):
        worker = installation.start(
            *WORKER, "--drain-timeout", "1s", WORKER_NAME=f"worker-{len(holders)}", LEASE_TTL="5", SWEEP_INTERVAL="1"
        )
        until(lambda: (lease := installation.document(task_id).get("lease")) and lease["worker"] not in holders)
        holders.append(installation.document(task_id)["lease"]["worker"])
        container = running(installation, task_id)
        worker.send_signal(signal.SIGKILL if leaves < 0 else signal.SIGTERM)
        assert worker.wait(pace.seconds(30)) == leaves
    with library() as engine:
        engine.containers.get(container).exec_run(["touch", "/tmp/go"])  # noqa: S108  in the container
    installation.start(WORKER_NAME="last", SWEEP_INTERVAL="1")
    document = installation.ended(task_id)
    assert (document["status"], document["attempt"], document["attempts"]) == ("succeeded", 1, [])
    assert (document["worker"], document["finished_by"], len(set(holders))) == (holders[0], "last", 4)
    assert installation.object(document, "stdout")[0].split()[-2] == hashlib.sha256(stdin).hexdigest().encode()


def test_probes_tell_an_idle_worker_from_one_that_drains(installation: Installation, client: Client) -> None:
    """One that drains lives, and gets no more tasks; told to end what it runs, it leaves."""
    (port,) = choose_ports(1)
    address = f"http://127.0.0.1:{port}"
    worker = installation.start(*WORKER, HEALTH_PORT=str(port))
    until(lambda: (asked(f"{address}/readyz") or [0])[0] == 200)
    idle = {"alive": True, "draining": False, "tasks": 0, "engine": True, "database": True}
    assert asked(f"{address}/healthz") == asked(f"{address}/readyz") == (200, idle)
    task_id = installation.submit(f"sleep {pace.seconds(60)}")
    running(installation, task_id)
    worker.send_signal(signal.SIGTERM)
    until(lambda: asked(f"{address}/readyz")[0] == 503)
    drains = {"alive": True, "draining": True, "tasks": 1, "engine": True, "database": True}
    assert asked(f"{address}/healthz") == (200, drains)
    assert asked(f"{address}/readyz") == (503, drains)
    client.cancel(task_id)
    assert worker.wait(pace.seconds(30)) == 0
    assert installation.document(task_id)["cause"] == "cancelled"
    assert asked(f"{address}/healthz") is None


def leaves_within(seconds: float, worker: "subprocess.Popen[bytes]") -> None:
    """Told to stop, it has nothing to hand over and is gone within so many seconds of a usual machine."""
    told = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(pace.seconds(30)) == 0
    assert time.monotonic() - told < pace.seconds(seconds)


def runs_once_with_the_next_worker(installation: Installation, client: Client, task_id: str) -> None:
    """What the first worker took and could not begin."""
    installation.start()
    assert installation.ended(task_id)["status"] == "succeeded"
    assert client.get(task_id).attempt == 1


def test_without_an_engine_it_is_not_ready_and_leaves_when_told(installation: Installation, client: Client) -> None:
    """Within moments, though it has taken a task from the queue; the next worker runs it."""
    (port,) = choose_ports(1)
    address = f"http://127.0.0.1:{port}"
    nowhere = f"unix://{installation.folder}/none.sock"
    worker = installation.start(*WORKER, HEALTH_PORT=str(port), DOCKER_HOST=nowhere)
    until(lambda: asked(f"{address}/healthz"))
    facts = {"alive": True, "draining": False, "tasks": 0, "engine": False, "database": True}
    assert asked(f"{address}/readyz") == (503, facts)
    task_id = installation.submit("echo ran")
    until(lambda: b"try 2 failed" in (installation.folder / "worker-0.log").read_bytes())
    leaves_within(2, worker)
    runs_once_with_the_next_worker(installation, client, task_id)


def test_a_frozen_engine_holds_up_no_worker_that_is_told_to_leave(installation: Installation, client: Client) -> None:
    """It takes connections and never answers, so the task that was taken could not begin; the next worker runs it."""
    address = installation.folder / "frozen.sock"
    with socket.socket(socket.AF_UNIX) as frozen, redis_client(installation.settings) as redis:
        frozen.bind(str(address))
        frozen.listen(64)
        task_id = installation.submit("echo ran")
        worker = installation.start(*WORKER, DOCKER_HOST=f"unix://{address}")
        until(lambda: not redis.llen(f"rq:queue:{installation.settings.queue}"))
        leaves_within(5, worker)
    runs_once_with_the_next_worker(installation, client, task_id)


def test_waiting_for_many_containers_costs_little_memory(installation: Installation, client: Client) -> None:
    """Threads, attached streams and samples of all of them together, in the worker's share of memory."""
    worker = installation.start(*WORKER, "--concurrency", str(bench.WAITING))
    before, most = bench.wait_together(client, worker.pid)
    assert before < most < MOST, f"{before:.1f} MB before, {most:.1f} MB with {bench.WAITING} containers"


def test_the_service_manager_hears_that_a_worker_is_ready_lives_and_stops(installation: Installation) -> None:
    """In this order, from the command that the unit of systemd starts; the servers do, it needs no engine for that."""
    address = installation.folder / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(pace.seconds(30))
        nowhere = f"unix://{installation.folder}/none.sock"
        worker = installation.start(*WORKER, NOTIFY_SOCKET=str(address), WATCHDOG_USEC="900000", DOCKER_HOST=nowhere)
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        worker.send_signal(signal.SIGTERM)
        assert set(iter(lambda: manager.recv(100), b"STOPPING=1")) <= {b"WATCHDOG=1"}
        assert worker.wait(pace.seconds(30)) == 0
