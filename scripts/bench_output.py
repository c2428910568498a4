"""What 100 MB of output cost: a task, beside a raw attach and a PUT of the same bytes one after the other, all in one run.

.venv/bin/python -m scripts.bench_output [ROUNDS]
"""

import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path

import docker
from docker.types import LogConfig
from loguru import logger

from orchestrator.adapters.s3.client import minio_client
from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from scripts.bench import IMAGE, WHERE, timed, worker
from statemachine import State

_SIZE = 100 << 20
_ROUNDS = 5
_LINE = b"0123456789" * 10 + b"\n"
_COMMAND = ["sh", "-c", f"yes {_LINE.decode().strip()} | head -c {_SIZE}"]
_REQUEST = {"image": IMAGE, "command": _COMMAND, "limits": {"output": _SIZE, "timeout": 300}}
_KEPT = LogConfig(type="local", config={"compress": "false", "max-size": "100m", "max-file": "5"})
"""The log of the engine, as tasks have it."""
_BLOCK = 1 << 18


def main(rounds: int) -> None:
    """Run it with servers and a worker of its own."""
    logger.remove()
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        environment = {**servers.environment, "SPOOL_DIR": f"{folder}/spool", "PULL_POLICY": "never"}
        with worker(environment, 1), closing(docker.DockerClient(base_url=WHERE)) as engine:
            compare_output(environment, engine, rounds)


def compare_output(environment: Mapping[str, str], engine: docker.DockerClient, rounds: int = _ROUNDS) -> None:
    """Each side as often, in shuffled order; the medians, and the task's share of the other two together."""
    settings = Settings.load(environment)
    client, s3, bucket = Client(connect(settings)), minio_client(settings), settings.minio_bucket
    data = (_LINE * (_SIZE // len(_LINE) + 1))[:_SIZE]

    def put(at_once: int) -> None:
        s3.put_object(bucket, "bench", BytesIO(data), _SIZE, num_parallel_uploads=at_once)

    sides: dict[str, Callable[[], None]] = {
        "raw attach": lambda: attach(engine),
        "PUT, part by part": lambda: put(1),
        "PUT, three parts at once": lambda: put(3),
        "task": lambda: through(client),
    }
    through(client)
    runs = [*sides] * rounds
    random.shuffle(runs)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for name in runs:
        times[name].append(timed(sides[name]))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, taken in times.items():
        print(f"100 MB: {name:<26} median {medians[name]:6.0f} ms, min {min(taken):6.0f}, max {max(taken):6.0f}")
    for name in sides:
        if name.startswith("PUT"):
            print(f"100 MB: task ÷ (raw attach + {name}) = {medians['task'] / (medians['raw attach'] + medians[name]):.2f}")
    s3.remove_object(bucket, "bench")


def through(client: Client) -> None:
    """The task, from handing it in to its last event."""
    task = client.submit(_REQUEST)
    last = list(client.watch(task.id))[-1]
    stored = client.get(task.id).logs
    if last.status is not State.SUCCEEDED or stored is None or stored.stdout.bytes != _SIZE or stored.stdout.truncated:
        raise SystemExit(f"the measured task did not succeed: {client.get(task.id).message}")


def attach(engine: docker.DockerClient) -> None:
    """The same program, its output read from the socket and thrown away."""
    container = engine.containers.create(IMAGE, _COMMAND, mem_limit="256m", network_disabled=True, init=True, log_config=_KEPT)
    with closing(engine.api.attach_socket(str(container.id), {"stdout": 1, "stderr": 1, "stream": 1})) as stream:
        container.start()
        read, block = 0, bytearray(_BLOCK)
        while some := stream._sock.recv_into(block):  # noqa: SLF001  it has no other way to read without a copy
            read += some
    container.wait()
    container.remove()
    if read < _SIZE:
        raise SystemExit(f"the container printed {read} bytes")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS)
