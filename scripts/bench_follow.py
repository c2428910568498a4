"""Measures output that is followed: ``make bench-follow``.

Prints how long a line takes from the program to its follower, for many tasks at once, and what it costs those that nobody
follows: `true` and 100 MB of output with LIVE_OUTPUT and without, in turn in one run, order shuffled.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loguru import logger

from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.ports import Piece, Stream
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from scripts.bench import IMAGE, timed, worker

AT_ONCE = 20
LINES, PAUSE = 25, 0.2
ROUNDS = {"true": 15, "100 MB": 3}
PROGRAMS: Mapping[str, Mapping[str, object]] = {
    "true": {"image": IMAGE, "command": ["true"]},
    "100 MB": {
        "image": IMAGE,
        "command": ["sh", "-c", "dd if=/dev/zero bs=64k count=1600 2>/dev/null"],
        "limits": {"output": 100 << 20, "timeout": 300},
    },
}
_CLOCK = f"i=0; while [ $i -lt {LINES} ]; do read up idle </proc/uptime; echo $up; usleep {PAUSE * 1e6:.0f}; i=$((i+1)); done"
"""Tells the host's time since its start, in hundredths of a second, which the follower compares with its own."""


def main() -> None:
    """Run all measurements."""
    logger.remove()
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        base = {**servers.environment, "SPOOL_DIR": f"{folder}/spool", "PULL_POLICY": "never", "CPU_OVERCOMMIT": "40"}
        with worker(base, AT_ONCE):
            delays = sorted(_delays(Client(connect(Settings.load(base)))))
        print(
            f"printed to seen, {AT_ONCE} tasks at once: p50 {_at(delays, 0.5):.0f} ms, p95 {_at(delays, 0.95):.0f} ms, "
            f"most {delays[-1] * 1000:.0f} ms, {len(delays)} lines, to 10 ms"
        )
        sides = {}
        for name, limit in (("with", "1m"), ("without", "0")):
            own = {**base, "QUEUE": name, "LIVE_OUTPUT": limit, "SPOOL_DIR": f"{folder}/spool-{name}"}
            sides[name] = own, Client(connect(Settings.load(own)))
        with worker(sides["with"][0], 1), worker(sides["without"][0], 2):
            for program, request in PROGRAMS.items():
                _compare(program, request, {name: client for name, (_, client) in sides.items()})


def _delays(client: Client) -> list[float]:
    """Seconds from each line's own time to its arrival, of those that came while the program ran."""
    request = {"image": IMAGE, "command": ["sh", "-c", _CLOCK], "limits": {"cpus": 0.1, "memory": "32m"}}
    tasks = [client.submit(request).id for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [delay for delays in pool.map(lambda task_id: _of_one(client, task_id), tasks) for delay in delays]


def _of_one(client: Client, task_id: str) -> list[float]:
    delays, rest = [], b""
    for item in client.follow(task_id):
        if isinstance(item, Piece) and item.stream is Stream.STDOUT:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            *lines, rest = (rest + item.data).split(b"\n")
            delays += [now - float(line) for line in lines]
    return delays


def _compare(program: str, request: Mapping[str, object], sides: Mapping[str, Client]) -> None:
    rounds = [side for side in sides for _ in range(ROUNDS[program])]
    random.shuffle(rounds)
    took: dict[str, list[float]] = {side: [] for side in sides}
    for side in rounds:
        took[side].append(timed(lambda side=side: _run(sides[side], request)))  # type: ignore[misc]
    medians = {side: statistics.median(times) for side, times in took.items()}
    print(
        f"{program}: with live output {medians['with']:.0f} ms, without {medians['without']:.0f} ms, "
        f"ratio {medians['with'] / medians['without']:.3f}, median of {ROUNDS[program]}"
    )


def _run(client: Client, request: Mapping[str, object]) -> None:
    for _ in client.watch(client.submit(request).id):
        pass


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


if __name__ == "__main__":
    main()
