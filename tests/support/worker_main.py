"""A worker process for tests: ``python -m tests.support.worker_main REDIS_URL CONCURRENCY``.

With KILL_AFTER=N in the environment it kills itself, as SIGKILL does, right after it has taken its N-th job from the queue.
"""

import itertools
import os
import signal
import sys

from rq.job import Job

from orchestrator import log as logs
from orchestrator.worker.redis_retry import connect
from orchestrator.worker.worker import ThreadWorker
from tests.support import pace
from tests.support.worker_process import FUNCTIONS


class Mortal(ThreadWorker):
    """Dies between taking a job and beginning it."""

    _taken = itertools.count(1)

    def _fetch(self, entry: bytes) -> Job | None:
        if next(self._taken) == int(os.environ.get("KILL_AFTER", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._fetch(entry)


def main() -> None:
    """Run until told to stop; exit code 0 after draining, 5 after handing over."""
    logs.configure(sys.stderr, json=True, secrets=["hunter2"])
    url, concurrency = sys.argv[1], int(sys.argv[2])
    drained = Mortal(connect(url), "default", concurrency, rescue_after=pace.seconds(3), functions=FUNCTIONS).run()
    os._exit(0 if drained else 5)


if __name__ == "__main__":
    main()
