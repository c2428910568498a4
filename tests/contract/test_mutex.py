"""The Mutex's contract, in memory and on Redis."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.adapters.redis_mutex import RedisMutex
from orchestrator.ports import Mutex
from orchestrator.settings import Settings
from tests.support import pace

TTL = 60.0


def test_one_at_a_time_has_the_lock(mutex: Mutex) -> None:
    """The others are told at once, and the next one gets it when it is given back."""
    with mutex.hold("sweep", TTL) as one, mutex.hold("sweep", TTL) as two:
        assert (one, two) == (True, False)
        with mutex.hold("sweep", TTL) as three:
            assert not three
    with mutex.hold("sweep", TTL) as four:
        assert four


def test_who_was_refused_gives_nothing_back(mutex: Mutex) -> None:
    """The lock stays with the one who has it."""
    with mutex.hold("sweep", TTL):
        with mutex.hold("sweep", TTL):
            pass
        with mutex.hold("sweep", TTL) as other:
            assert not other


def test_locks_of_different_names_are_different(mutex: Mutex) -> None:
    """One for each engine, say."""
    with mutex.hold("a", TTL) as one, mutex.hold("b", TTL) as other:
        assert one
        assert other


def test_the_lock_is_given_back_when_the_block_raises(mutex: Mutex) -> None:
    """A sweep that fails does not stop all sweeps."""
    with pytest.raises(ZeroDivisionError), mutex.hold("sweep", TTL):
        raise ZeroDivisionError
    with mutex.hold("sweep", TTL) as held:
        assert held


def test_of_many_at_once_one_has_the_lock(mutex: Mutex) -> None:
    """While it is held, nobody else has it."""
    start, end = Barrier(16), Barrier(16)

    def attempt(_: int) -> bool:
        start.wait()
        with mutex.hold("sweep", TTL) as held:
            end.wait()
            return held

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_a_lock_runs_out(settings: Settings) -> None:
    """Its holder may be dead. One that comes back late gives back nothing that is not its own."""
    mutex = RedisMutex(settings)
    with mutex.hold("sweep", 0.2) as first:
        assert first
        deadline = time.monotonic() + pace.seconds(10)
        held = False
        while not held:
            assert time.monotonic() < deadline
            with mutex.hold("sweep", 0.2) as held:
                pass
        late = mutex.hold("sweep", TTL)
        assert late.__enter__()
    with mutex.hold("sweep", TTL) as other:
        assert not other
    late.__exit__(None, None, None)
    with mutex.hold("sweep", TTL) as last:
        assert last
