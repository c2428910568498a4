"""Jobs in the queue that belong to other applications or other installations. It knows no task."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import cast

from attrs import define, field
from rq import Queue

from orchestrator.adapters.redis.job import Call, read_calls
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.task.validation import shown

_MOVE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
return redis.call('RPUSH', KEYS[2], ARGV[1])
"""
_WARN_EVERY = 60.0
_LOOKED_AT = 1000
_RESTS = 0.1, 1.0
"""The shortest and the longest rest, in seconds, while the queue has only foreign jobs."""
_SHARE = 5
"""The rest is this many times as long as the search took."""


@define
class ForeignJobs:
    """Puts foreign jobs back at the end of the queue, unchanged, finds the worker's own behind them, and warns once a minute.

    ``functions`` are the functions that the worker runs. ``are_ours`` says which of the jobs that call them it should run.
    """

    queue: Queue
    functions: Collection[str]
    are_ours: Callable[[Sequence[Call]], Sequence[bool]]
    measured: Measurements = field(factory=Measurements)
    _unsaid: int = field(default=0, init=False)
    _said_at: float = field(default=float("-inf"), init=False)

    def is_foreign(self, call: Call | None) -> bool:
        """Whether to leave the job of this call, or an unreadable job, to other workers."""
        return call is None or call.function not in self.functions or not self.are_ours([call])[0]

    def put_back(self, entry: bytes, call: Call | None) -> None:
        """Back into the queue, in one step. A repeated call after a lost reply moves nothing."""
        self._move(self.queue.intermediate_queue_key, self.queue.key, entry)
        self.measured.count(metrics.FOREIGN)
        self._warn(entry, call)

    def find(self) -> tuple[bytes | None, float]:
        """An entry of the worker's own, now on its way to the worker; if there is none, the seconds to rest.

        If the queue is too long for one search, its head moves to the end, and there is no rest.
        """
        began, redis = time.monotonic(), self.queue.connection
        entries = cast("list[bytes]", redis.lrange(self.queue.key, 0, _LOOKED_AT))
        for entry in self._own(entries[:_LOOKED_AT]):
            if self._move(self.queue.key, self.queue.intermediate_queue_key, entry):
                return entry, 0.0
        if len(entries) > _LOOKED_AT:
            self._turn()
            return None, 0.0
        shortest, longest = _RESTS
        return None, min(max(_SHARE * (time.monotonic() - began), shortest), longest)

    def _own(self, entries: list[bytes]) -> list[bytes]:
        calls = zip(entries, read_calls(self.queue.connection, entries), strict=True)
        known = [(entry, call) for entry, call in calls if call and call.function in self.functions]
        ours = self.are_ours([call for _, call in known])
        return [entry for (entry, _), is_ours in zip(known, ours, strict=True) if is_ours]

    def _turn(self) -> None:
        """Move the entries at the head to the end, in their order."""
        with self.queue.connection.pipeline(transaction=False) as pipeline:
            for _ in range(_LOOKED_AT):
                pipeline.lmove(self.queue.key, self.queue.key, "LEFT", "RIGHT")
            pipeline.execute()

    def _move(self, source: str, target: str, entry: bytes) -> bool:
        """Move an entry in one step from one list to the end of the other; False if it is not there."""
        return bool(self.queue.connection.eval(_MOVE, 2, source, target, entry))

    def _warn(self, entry: bytes, call: Call | None) -> None:
        self._unsaid += 1
        if time.monotonic() < self._said_at + _WARN_EVERY:
            return
        what = "is not JSON" if call is None else f"calls {shown(call.function)} with {shown(call.task_id)}"
        logger.warning(
            "queue {}: job {!r} {} and is not known to be of this installation; put back at the far end, as {} before it",
            *(self.queue.name, entry, what, self._unsaid - 1),
        )
        self._unsaid, self._said_at = 0, time.monotonic()
