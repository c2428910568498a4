"""Jobs that somebody planted in Redis: a process that unpickles one, or imports what it names, leaves a mark."""

import pickle
import zlib
from pathlib import Path

from redis import Redis

from orchestrator.adapters.redis.job import RUN_TASK

FIELDS = ("data", "meta", "result", "exc_info")
"""The fields of a job's hash in which RQ looks for what was serialized."""


class _Mark:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def plant(redis: Redis, queue: str, mark: Path) -> list[str]:
    """Put one job in line for each field, with a pickle there that makes the file ``mark``; their ids."""
    pickled = pickle.dumps(_Mark(mark))
    good = pickle.dumps((RUN_TASK, None, ("t1",), {}))
    job_ids = []
    for field in FIELDS:
        job_ids.append(f"planted-{field}")
        mapping = {"data": zlib.compress(good), field: pickled, "origin": queue, "status": "queued", "failure_ttl": "60"}
        redis.hset(f"rq:job:{job_ids[-1]}", mapping=mapping)
        redis.rpush(f"rq:queue:{queue}", job_ids[-1])
    return job_ids
