"""Measures what the worker costs on top of the container: `make bench`.

Prints both sides, measured in turn in one run: `true` from enqueueing to its last event, against the bare calls of docker-py
for the same container; what commands take to start, against Python alone; and the memory of a worker that waits for many
containers.
"""

import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import docker
from loguru import logger

from orchestrator.adapters.docker.warm import PREFIX
from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import WARM
from orchestrator.wiring import connect
from statemachine import State

IMAGE = "orchestrator-busybox:1"
ROUNDS = 30
STARTS = 7
WAITING = 50
KEPT = 4
"""Containers that wait for a program."""
_SETTLE = 3.0
"""Seconds for which memory is looked at once all containers run."""
_LOOK, _SETTLED = 0.02, 0.3
"""Seconds between looks for waiting containers, and until the last of them may be taken."""
_SMALL = {"timeout": 900, "cpus": 0.1, "memory": "32m"}
WHERE = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def main() -> None:
    """Run all measurements."""
    logger.remove()
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        environment = {**servers.environment, "SPOOL_DIR": f"{folder}/spool", "PULL_POLICY": "never"}
        client = Client(connect(Settings.load(environment)))
        warm = {**environment, "QUEUE": "warm", "WARM": f"{IMAGE}={KEPT}"}
        with worker(environment, 1), worker(warm, 2), closing(docker.DockerClient(base_url=WHERE)) as engine:
            through(client)
            compare(client, Client(connect(Settings.load(warm))), engine)
            compare_starts(environment, client.list(limit=1)[0].id)
        with worker({**environment, "QUEUE": "waiting"}, WAITING) as process:
            before, most = wait_together(Client(connect(Settings.load({**environment, "QUEUE": "waiting"}))), process.pid)
            print(f"{'worker memory (PSS)':<24} {before:.1f} MB idle, {most:.1f} MB with {WAITING} containers waited for")


@contextmanager
def worker(environment: dict[str, str], concurrency: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process with a log of its own."""
    with Path(f"{environment['SPOOL_DIR']}-{concurrency}.log").open("wb") as log:
        argv = [sys.executable, "-m", "orchestrator", "worker", "--concurrency", str(concurrency)]
        process = subprocess.Popen(argv, env={**os.environ, **environment}, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def through(client: Client) -> None:
    """One task from enqueueing to its last event."""
    task = client.submit({"image": IMAGE, "command": ["true"]})
    events = list(client.watch(task.id))
    if events[-1].status is not State.SUCCEEDED:
        raise SystemExit(f"the measured task did not succeed: {client.get(task.id).message}")


def bare(engine: docker.DockerClient) -> None:
    """The same container by hand: create, start, wait, read the output, remove."""
    container = engine.containers.create(
        IMAGE,
        ["true"],
        mem_limit="256m",
        memswap_limit="256m",
        nano_cpus=10**9,
        pids_limit=128,
        network_disabled=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        user="65534:65534",
        tmpfs={"/tmp": "size=64m"},  # noqa: S108
    )
    container.start()
    container.wait()
    container.logs()
    container.remove()


def compare(client: Client, warm: Client, engine: docker.DockerClient) -> None:
    """The sides in turn, in shuffled order; medians, and the median of the differences and of the ratios round by round.

    Each begins when as many containers wait as are kept, so that none is made meanwhile.
    """
    sides = {
        "bare docker-py calls": lambda: bare(engine),
        "enqueue to last event": lambda: through(client),
        "the same, warm": lambda: through(warm),
    }
    rounds = [_round(sides, engine) for _ in range(ROUNDS)]
    for name in sides:
        times = [each[name] for each in rounds]
        print(f"{name:<24} median {statistics.median(times):6.1f} ms, min {min(times):6.1f}, max {max(times):6.1f}")
    theirs, *ours = sides
    for name in ours:
        more = statistics.median(each[name] - each[theirs] for each in rounds)
        ratio = statistics.median(each[name] / each[theirs] for each in rounds)
        print(f"{'against bare calls':<24} median {more:6.1f} ms more, {ratio:.2f} times: {name}")


def _round(sides: Mapping[str, Callable[[], None]], engine: docker.DockerClient) -> dict[str, float]:
    times = {}
    for name in random.sample([*sides], len(sides)):
        while len(engine.api.containers(filters={"label": WARM, "name": PREFIX})) < KEPT:
            time.sleep(_LOOK)
        time.sleep(_SETTLED)
        times[name] = timed(sides[name])
    return times


def compare_starts(environment: Mapping[str, str], task_id: str) -> None:
    """CPU seconds of commands and of Python alone, in shuffled order. Where the machine is busy, the least says most."""
    cli = ("-m", "orchestrator")
    commands = {
        "python -c pass": ("-c", "pass"),
        "--help": (*cli, "--help"),
        "list": (*cli, "list"),
        "show": (*cli, "show", task_id),
    }
    runs = [*commands] * STARTS
    random.shuffle(runs)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for name in runs:
        times[name].append(cpu_seconds(commands[name], environment))
    for name, taken in times.items():
        print(f"{name:<24} median {statistics.median(taken):6.3f} s of CPU, min {min(taken):6.3f}, max {max(taken):6.3f}")


def wait_together(client: Client, pid: int) -> tuple[float, float]:
    """The worker's memory in MB after one task, and the most of it while it waits for many containers, which are then ended."""
    through(client)
    before = most = memory(pid)
    ids = [client.submit({"image": IMAGE, "command": ["sleep", "600"], "limits": _SMALL}).id for _ in range(WAITING)]
    settled = math.inf
    while time.monotonic() < settled:
        time.sleep(0.5)
        most = max(most, memory(pid))
        if settled == math.inf and len(client.list(State.RUNNING, WAITING)) == WAITING:
            settled = time.monotonic() + _SETTLE
    for task_id in ids:
        client.cancel(task_id)
    for task_id in ids:
        list(client.watch(task_id))
    return before, most


def timed(work: Callable[[], None]) -> float:
    """Milliseconds that it took."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def cpu_seconds(arguments: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """User and system time of a Python process from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def memory(pid: int) -> float:
    """Proportional set size in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1000


if __name__ == "__main__":
    main()
