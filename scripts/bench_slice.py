"""What the group above a container costs: the same container made, run and removed with one and without, in turns.

.venv/bin/python -m scripts.bench_slice [PAIRS]
"""

import random
import statistics
import sys
import time
import uuid
from contextlib import closing

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import DEPLOYMENT
from orchestrator.task.limits import Limits
from scripts.engine import address

IMAGE = "orchestrator-busybox:1"
_BENCH = "orchestrator-bench"
_LONG = 600.0


def main(pairs: int) -> None:
    """Print the median and the range of each side, in milliseconds, and their ratio."""
    with closing(DockerEngine(address())) as above, closing(DockerEngine(address())) as plain:
        if not above._groups.used:  # noqa: SLF001
            raise SystemExit(f"containers get no group here: {above._groups.reason}")  # noqa: SLF001
        sides = {type(above._groups.parents).__name__: above, "none": plain}  # noqa: SLF001
        took: dict[str, list[float]] = {name: [] for name in sides}
        for engine in sides.values():
            _seconds(engine)  # the first opens connections
        plain._groups._known = (None, "left out for comparison")  # noqa: SLF001
        if plain._groups.used:  # noqa: SLF001
            raise SystemExit("the side without a group has one")
        for _ in range(pairs):
            for name in random.sample(list(sides), len(sides)):
                took[name].append(_seconds(sides[name]))
    for name, seconds in took.items():
        middle, least, most = (round(1000 * value) for value in (statistics.median(seconds), min(seconds), max(seconds)))
        print(f"{name:<12} median {middle} ms, {least} to {most}")
    ratios = [one / other for one, other in zip(*took.values(), strict=True)]
    print(f"ratio        median {statistics.median(ratios):.3f}, of {pairs} pairs")


def _seconds(engine: DockerEngine) -> float:
    """Seconds to create, start, await and remove a container of ``true``."""
    name = f"orchestrator-{uuid.uuid4().hex[:12]}-1"
    plan = ContainerPlan(
        name=name,
        image=IMAGE,
        command=("true",),
        env={},
        working_dir=None,
        user="65534:65534",
        network=False,
        stdin=None,
        files={},
        limits=Limits(),
        labels={DEPLOYMENT: _BENCH},
    )
    began = time.monotonic()
    try:
        container = engine.create(plan).id
        engine.start(container)
        engine.wait(container, _LONG)
    finally:
        engine.remove(name, _BENCH)
    return time.monotonic() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
