"""How slow this machine is. Deadlines of the tests are multiples of it, so that no test depends on the machine's speed.

It is measured when it is first asked for, and noted in an environment variable for the processes that the tests start.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing

import docker
from docker.errors import DockerException
from requests import RequestException

VARIABLE = "ORCHESTRATOR_TEST_PACE"
"""Times that this machine is slower than a usual one. Set it to spare the measurement."""
IMAGE = os.environ.get("ORCHESTRATOR_TEST_IMAGE", "orchestrator-busybox:1")
WHERE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
_CONTAINER = 0.35
"""Seconds in which a usual machine creates, starts, waits for and removes a container."""
_PROCESS = 0.15
"""Seconds in which it starts a Python process with a few modules."""
_USUAL = 2.0
"""A machine that is up to so many times slower than that is a usual one, too."""
_TRIES = 2


def seconds(usual: float) -> float:
    """What takes ``usual`` seconds on a usual machine, or must not take longer there, in seconds of this machine."""
    return usual * slowness()


def slowness() -> float:
    """Times that this machine is slower than a usual one; 1 on a usual one and on a faster one."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{judge(_least(_container) / _CONTAINER, _least(_process) / _PROCESS):.1f}"
    return float(os.environ[VARIABLE])


def judge(*times: float) -> float:
    """The slowness of a machine that is so many times slower in each respect."""
    return max(times) if max(times) > _USUAL else 1.0


def _least(run: Callable[[], None]) -> float:
    """Seconds of the faster of two tries, for one may be held up by something that passes."""
    took = []
    for _ in range(_TRIES):
        began = time.monotonic()
        run()
        took.append(time.monotonic() - began)
    return min(took)


def _container() -> None:
    """Nothing where no engine answers: the tests that need one say so themselves."""
    try:
        with closing(docker.DockerClient(base_url=WHERE)) as client:
            container = client.containers.create(IMAGE, ["true"], network_disabled=True, labels=["orchestrator.test"])
            try:
                container.start()
                container.wait()
            finally:
                container.remove(force=True)
    except (DockerException, RequestException):
        pass


def _process() -> None:
    subprocess.run([sys.executable, "-c", "import asyncio, json, ssl"], check=True)
