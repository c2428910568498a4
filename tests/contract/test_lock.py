"""The SharedLock's contract, in memory and on Redis."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.adapters.redis.lock import RedisLock
from orchestrator.ports import SharedLock
from orchestrator.settings.settings import Settings
from tests.support import pace

TTL = 60.0


def test_one_at_a_time_has_the_lock(lock: SharedLock) -> None:
    """The others return at once, and the next one gets the lock after its release."""
    with lock.hold("sweep", TTL) as one, lock.hold("sweep", TTL) as two:
        assert (one, two) == (True, False)
        with lock.hold("sweep", TTL) as three:
            assert not three
    with lock.hold("sweep", TTL) as four:
        assert four


def test_who_was_refused_gives_nothing_back(lock: SharedLock) -> None:
    """The lock stays with the one who has it."""
    with lock.hold("sweep", TTL):
        with lock.hold("sweep", TTL):
            pass
        with lock.hold("sweep", TTL) as other:
            assert not other


def test_locks_of_different_names_are_different(lock: SharedLock) -> None:
    """One for each engine, say."""
    with lock.hold("a", TTL) as one, lock.hold("b", TTL) as other:
        assert one
        assert other


def test_the_lock_is_given_back_when_the_block_raises(lock: SharedLock) -> None:
    """A sweep that fails does not stop all sweeps."""
    with pytest.raises(ZeroDivisionError), lock.hold("sweep", TTL):
        raise ZeroDivisionError
    with lock.hold("sweep", TTL) as held:
        assert held


def test_of_many_at_once_one_has_the_lock(lock: SharedLock) -> None:
    """While it is held, no other process has it."""
    start, end = Barrier(16), Barrier(16)

    def attempt(_: int) -> bool:
        start.wait()
        with lock.hold("sweep", TTL) as held:
            end.wait()
            return held

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_a_lock_runs_out(settings: Settings) -> None:
    """Its holder may be dead. A holder that comes back late does not release the lock of another."""
    lock = RedisLock(settings)
    with lock.hold("sweep", 0.2) as first:
        assert first
        deadline = time.monotonic() + pace.seconds(10)
        held = False
        while not held:
            assert time.monotonic() < deadline
            with lock.hold("sweep", 0.2) as held:
                pass
        late = lock.hold("sweep", TTL)
        assert late.__enter__()
    with lock.hold("sweep", TTL) as other:
        assert not other
    late.__exit__(None, None, None)
    with lock.hold("sweep", TTL) as last:
        assert last
