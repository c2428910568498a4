"""A follower of a program's output gets all of it, each byte once, after any fault of the worker, Redis or the follower."""

import asyncio
import hashlib
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.adapters.mongo.task_store import AsyncDocuments
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.live_output import AsyncRedisLiveOutput, ends_key, live_key
from orchestrator.async_client import AsyncClient
from orchestrator.client import Client
from orchestrator.output.following import Missed
from orchestrator.ports import Piece, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from orchestrator.wiring import connect
from tests.faults.report import long
from tests.support import pace
from tests.support.fault_detour import Detour, detoured
from tests.support.fault_programs import Program, flood
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner

OUT, ERR = Stream
CUTS = 100
AWAY = 30.0 if long() else 3.0


class Follower:
    """Follows a task in a thread, to its end."""

    def __init__(self, client: Client, task_id: str) -> None:
        self.items: list[Piece | Missed | Event] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, args=(client, task_id), daemon=True)
        self._thread.start()

    def text(self, stream: Stream = OUT) -> bytes:
        """What it has been given, which comes without a hole."""
        pieces = [item for item in [*self.items] if isinstance(item, Piece) and item.stream is stream]
        assert [piece.offset for piece in pieces] == [0, *(piece.end for piece in pieces)][: len(pieces)]
        return b"".join(piece.data for piece in pieces)

    def end(self) -> None:
        """Wait until it was told the task's end."""
        self._thread.join(pace.seconds(120))
        assert not self._thread.is_alive()
        if self._error:
            raise self._error

    def _follow(self, client: Client, task_id: str) -> None:
        try:
            for item in client.follow(task_id):
                self.items.append(item)
        except Exception as error:  # noqa: BLE001  the test's thread raises it
            self._error = error


def _waves(count: int, size: int = 30_000) -> Program:
    """Floods and pauses in turn, so that it is followed for some seconds; its stderr has a line for each wave."""
    one = flood(size)
    body = one.script.removeprefix("echo started; ")
    script = (
        f"echo started; w=0; while [ $w -lt {count} ]; do {body}; echo wave $w >&2; w=$((w+1)); sleep {pace.seconds(0.2)}; done"
    )
    wave = one.stdout.removeprefix(b"started\n")
    return Program(script, b"started\n" + wave * count, b"".join(b"wave %d\n" % number for number in range(count)))


def _expect_whole(site: Site, follower: Follower, task_id: str) -> None:
    """What was followed is what is stored, by its SHA-256, and what the program wrote."""
    logs = site.client.get(task_id).logs
    assert logs
    for stream, stored in ((OUT, logs.stdout), (ERR, logs.stderr)):
        assert hashlib.sha256(follower.text(stream)).hexdigest() == stored.sha256
        assert follower.text(stream) == getattr(site.programs[task_id], stream)


def test_output_is_seen_while_the_program_runs(site: Site) -> None:
    """Of both streams, before its end is known."""
    site.worker("worker")
    task_id = site.submit(_waves(8))
    follower = Follower(site.client, task_id)
    until(lambda: b"wave 1\n" in follower.text(ERR))
    assert site.status(task_id) == "running"
    follower.end()
    _expect_whole(site, follower, task_id)
    kinds = [type(item) for item in follower.items]
    assert kinds.index(Piece) < len(kinds) - 1 - kinds[::-1].index(Event)


def test_whatever_cuts_a_follower_it_goes_on_where_it_was(site: Site) -> None:
    """A hundred times, at random: the bytes are those that are stored."""
    site.worker("worker")
    task_id = site.submit(_waves(20))
    got: dict[Stream, bytes] = dict.fromkeys(Stream, b"")
    attempt, seq, cuts, over = None, -1, 0, False
    chance = random.Random(11)  # noqa: S311  the same cuts each time
    while not over:
        offsets = {stream: len(data) for stream, data in got.items()} if attempt else None
        for item in site.client.follow(task_id, offsets, attempt=attempt, after_seq=seq):
            if isinstance(item, Piece):
                part = item.data[: chance.randint(1, len(item.data))] if cuts < CUTS else item.data
                assert item.offset == len(got[item.stream])
                got[item.stream] += part
                attempt = item.attempt
                if len(part) < len(item.data) or cuts < CUTS:
                    cuts += 1
                    break
            elif isinstance(item, Event):
                seq, over = item.seq, item.is_last
    assert cuts == CUTS
    logs = site.client.get(task_id).logs
    assert logs
    assert [hashlib.sha256(got[stream]).hexdigest() for stream in Stream] == [logs.stdout.sha256, logs.stderr.sha256]


def test_a_worker_that_is_killed_in_a_flood_leaves_no_gap(site: Site) -> None:
    """The worker that adopts the program continues after the last sent byte."""
    dying = site.worker("dying")
    task_id = site.submit(_waves(20, 200_000))
    follower = Follower(site.client, task_id)
    until(lambda: len(follower.text()) > 300_000)
    dying.signal(signal.SIGKILL)
    dying.dead()
    site.survivor()
    follower.end()
    _expect_whole(site, follower, task_id)
    assert site.client.get(task_id).attempt == 1


@pytest.fixture
def detour(corner: Corner, tmp_path: Path) -> Iterator[Detour]:
    """Shared servers behind proxies of this test's own."""
    with detoured(corner, tmp_path) as detour:
        yield detour


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    with Client(connect(settings)) as client:
        yield client


def test_redis_away_delays_what_is_followed_and_takes_nothing(detour: Detour) -> None:
    """The worker's connection and the follower's are both cut for a while."""
    site = detour.site
    site.worker("worker")
    with _client(Settings.load(site.environment)) as client:
        task_id = site.submit(_waves(round(AWAY * 5) + 20))
        follower = Follower(client, task_id)
        until(lambda: b"wave 2\n" in follower.text(ERR))
        detour.redis.go_down()
        time.sleep(AWAY)
        seen = len(follower.text(ERR))
        detour.redis.come_up()
        until(lambda: len(follower.text(ERR)) > seen or site.status(task_id) != "running")
        follower.end()
        _expect_whole(site, follower, task_id)


def test_redis_that_lost_all_takes_nothing(site: Site) -> None:
    """What was sent before is not followed live any more; who begins then is told so, and gets all at the end."""
    site.worker("worker")
    task_id = site.submit(_waves(15))
    early = Follower(site.client, task_id)
    until(lambda: b"wave 3\n" in early.text(ERR))
    with redis_client(site.settings) as redis:
        redis.delete(*(key(site.services.deployment, task_id) for key in (live_key, ends_key)))
    seen = len(early.text(ERR))
    until(lambda: len(early.text(ERR)) > seen)
    late = Follower(site.client, task_id)
    for follower in (early, late):
        follower.end()
        _expect_whole(site, follower, task_id)
    assert any(isinstance(item, Missed) for item in late.items)


def test_one_event_loop_follows_many_tasks(site: Site) -> None:
    """By the client for asyncio, on real servers: each task's bytes, each once."""

    async def one(client: AsyncClient, task_id: str) -> dict[Stream, bytes]:
        got = dict.fromkeys(Stream, b"")
        async for item in client.follow(task_id):
            if isinstance(item, Piece):
                assert item.offset == len(got[item.stream])
                got[item.stream] += item.data
        return got

    async def all_of(tasks: list[str]) -> list[dict[Stream, bytes]]:
        entries = AsyncRedisLiveOutput(site.settings)
        async with AsyncClient(Client(connect(site.settings)), AsyncDocuments(site.settings), entries) as client:
            return await asyncio.gather(*(one(client, task_id) for task_id in tasks))

    site.worker("worker")
    tasks = [site.submit(_waves(5)) for _ in range(6)]
    for task_id, got in zip(tasks, asyncio.run(all_of(tasks)), strict=True):
        assert got == {stream: getattr(site.programs[task_id], stream) for stream in Stream}


HOSTILE = {
    "every byte": ("i=0; while [ $i -lt 200 ]; do cat /task/bytes; i=$((i+1)); usleep 5000; done", bytes(range(256)) * 200),
    "no newline": ("dd if=/dev/zero bs=1M count=9; sleep 0.5", bytes(9 << 20)),
    "escapes": (
        r"i=0; while [ $i -lt 50 ]; do printf '\033[2J\033]0;t\007\r'; i=$((i+1)); usleep 20000; done",
        b"\x1b[2J\x1b]0;t\x07\r" * 50,
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bytes_are_bytes(site: Site, kind: str) -> None:
    """NUL, what is no UTF-8, escapes, megabytes without a newline: as the program wrote them."""
    script, stdout = HOSTILE[kind]
    site.worker("worker")
    program = Program(script, stdout, b"", None)
    task_id = site.submit(program, files={"bytes": bytes(range(256))}, limits={"output": "16m"})
    follower = Follower(site.client, task_id)
    follower.end()
    assert follower.text() == stdout
