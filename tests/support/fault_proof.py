"""The six invariants, checked from outside on real things. Each function says what it compares; none asks the worker."""

import hashlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from orchestrator.adapters.s3.client import minio_client
from orchestrator.errors import InfrastructureError
from orchestrator.task.event import Event
from tests.support import pace
from tests.support.fault_programs import ENDED, Program, sleeper
from tests.support.fault_rows import ONCE, Again
from tests.support.fault_site import Site
from tests.support.fault_wait import crowding, until

SETTLES = 90.0
"""Seconds of a usual machine within which everything that belongs to an ended task must be gone.

They are those of the orphan grace and of a few sweeps."""
PUBLISHED = 10.0
"""Seconds of a usual machine within which what Redis has published is heard."""
_MEANS_THE_END = ("status", "seq", "history", "exit_code", "cause", "message", "logs", "metrics", "attempts", "finished_at")

_OF_THE_PROGRAM = frozenset({"exit", "signal", "oom", "timeout", "output_limit"})
"""Causes of an attempt after which the task's own retries may start its program again."""

Document = Mapping[str, Any]
Told = tuple[object, ...]
"""What an event or a row of the history says."""


@frozen
class Held:
    """The invariants that were proven, as the page names them, and for how many runs a program was allowed to start again."""

    invariants: str
    again: Again


def prove(site: Site, *task_ids: str, slots: int | Mapping[str, int] = 0, again: Again = ONCE) -> Held:
    """I1 to I5 for these tasks, which have ended; says what held.

    With ``slots``, of the worker on the site's queue or of those on other queues, I6 as well. ``again`` is what the row allows.
    """
    of_queues = {site.environment["QUEUE"]: slots} if isinstance(slots, int) else slots
    before = {task_id: site.document(task_id) for task_id in task_ids}
    for task_id in task_ids:
        site.client.services.queue.enqueue(task_id)  # a late delivery must not move a task that has ended
    until(lambda: all(site.document(task_id).get("settled") for task_id in task_ids), SETTLES)
    for task_id in task_ids:
        events_are_whole(site, task_id)
        ran_once(site, task_id, again)
        log_is_whole(site, task_id)
        artifacts_are_whole(site, task_id)
    nothing_is_left(site, *task_ids, *site.orphans)
    slots_are_free(site, of_queues)
    for task_id in task_ids:
        ended_once(before[task_id], site.document(task_id), site.programs[task_id])
    return Held("I1-I6" if any(of_queues.values()) else "I1-I5", again)


def ended_once(before: Document, after: Document, program: Program) -> None:
    """I1: one row of the stored history has a terminal status, it is the last, and nothing of the end changed since."""
    terminal = [row["seq"] for row in after["history"] if row["status"] in ENDED]
    assert terminal == [after["seq"]], after["history"]
    assert after["status"] == after["history"][-1]["status"]
    for name in _MEANS_THE_END:
        assert after.get(name) == before.get(name), f"{name} changed after the end"
    if program.status:
        ends = {(program.status, program.cause), *(("failed", cause) for cause in program.also)}
        assert (after["status"], after["cause"]) in ends, after["message"]
        causes = {attempt["cause"] for attempt in after["attempts"]}
        assert causes <= {program.cause, "infrastructure", *program.also}, after["attempts"]


def events_are_whole(site: Site, task_id: str) -> None:
    """I2: the rows in MongoDB are 1..n, each begins where the last one ended, and subscribers get exactly these, in this order.

    One subscriber was there from the start, one comes now; a listener has no other source than what was published, which is
    each row, at least once, and for the first time in order.
    """
    history = site.document(task_id)["history"]
    assert [row["seq"] for row in history] == list(range(1, len(history) + 1)), history
    assert [row["source"] for row in history] == ["queued", *[row["status"] for row in history[:-1]]]
    stored = [(row["seq"], row["trigger"], row["source"], row["status"], row["at"]) for row in history]
    subscriber = site.subscribers[task_id]
    assert subscriber.ended(pace.seconds(SETTLES)), f"a subscriber of {task_id} never heard its end"
    for heard in (subscriber.events, list(site.client.watch(task_id, 0))):
        assert _told(heard) == stored, f"a subscriber was told what is not stored: {_told(heard)}, {stored}"
    until(lambda: len(stored) - len(site.listener.of(task_id)) <= site.listener.unheard, PUBLISHED)
    published_is_stored(_told(site.listener.of(task_id)), stored)


def published_is_stored(published: Sequence[Told], stored: Sequence[Told]) -> None:
    """Nothing was published but what is stored, and in this order."""
    assert published == [row for row in stored if row in published], f"published, but not stored: {published}, {stored}"


def _told(events: Iterable[Event]) -> list[Told]:
    return [(event.seq, event.trigger, event.source, event.status, event.at) for event in events]


def ran_once(site: Site, task_id: str, again: Again) -> None:
    """I3: the engine's events have no more starts of the program than the row allows, over all attempts and containers.

    The start of a program that has succeeded must be heard, unless the row's engine was ended and took its events with it.
    """
    document = site.document(task_id)
    if document["status"] == "succeeded" and again == ONCE:
        until(lambda: site.starts.of(task_id), PUBLISHED)
    starts_are_allowed(document, site.starts.of(task_id), site.starts.exited_0(task_id), site.retries.get(task_id, 0), again)


def starts_are_allowed(
    document: Document, starts: Mapping[int, int], exited_0: Collection[int], retries: int, again: Again
) -> None:
    """One start, one more for each of the task's own ``retries`` that it made use of, and those that the row has a reason for.

    ``starts`` has the engine's count by attempt, ``exited_0`` the attempts whose program exited with 0, after which nothing
    starts unless the engine itself ended it. One that was cancelled as it started has its attempt in the history alone.
    """
    assert all(count == 1 for count in starts.values()), f"two starts of one attempt; starts by attempt: {starts}"
    known = max(row["attempt"] for row in document["history"])
    assert set(starts) <= set(range(1, known + 1)), f"starts by attempt: {starts}, known are {known}"
    asked = sum(attempt["cause"] in _OF_THE_PROGRAM for attempt in document["attempts"])
    assert asked <= retries, f"the program was tried {asked} times again, the task asked for {retries}"
    allowed = 1 + asked + again.runs
    assert sum(starts.values()) <= allowed, f"the program started {sum(starts.values())} times over all attempts, not {allowed}"
    assert known <= allowed, f"it took {known} attempts, not {allowed}: {document['attempts']}"
    assert not any(attempt["exit_code"] == 0 for attempt in document["attempts"]), "another attempt followed an exit with 0"
    if exited_0 and not again.ended_by_engine:
        assert max(starts) <= min(exited_0), f"it exited with 0 and started again: starts by attempt {starts}"


def log_is_whole(site: Site, task_id: str) -> None:
    """I5: the objects in S3, of every attempt, have the SHA-256 that is in the document and in their metadata.

    They are the bytes that the program is known to write; a beginning of them if it was ended before all were out, or if its
    container was removed by a fault, and only then is a log marked truncated.
    """
    document, program = site.document(task_id), site.programs[task_id]
    lost = task_id in site.removed or program.cut
    for attempt in [*document["attempts"], document]:
        complete = attempt["cause"] in {None, "exit", *program.whole}
        if attempt["logs"]:
            for stream, written in (("stdout", program.stdout), ("stderr", program.stderr)):
                truncated = _object_is(site, attempt["logs"], stream, written, complete=complete)
                assert lost or not truncated, f"{stream} is marked truncated"
        assert attempt["logs"] or not complete, "no log was kept"


def _object_is(site: Site, logs: Document, stream: str, written: bytes, *, complete: bool) -> bool:
    """What one stream's object is; whether it is marked truncated."""
    entry = logs[stream]
    if not entry["key"]:
        assert (entry["bytes"], entry["sha256"]) == (0, hashlib.sha256().hexdigest())
        assert not (written and complete and not entry["truncated"]), f"{stream} is empty"
        return bool(entry["truncated"])
    response = minio_client(site.settings).get_object(logs["bucket"], entry["key"])
    try:
        stored, noted = response.read(), response.headers.get("x-amz-meta-sha256", entry["sha256"])
    finally:
        response.close()
        response.release_conn()
    assert hashlib.sha256(stored).hexdigest() == entry["sha256"] == noted
    assert len(stored) == entry["bytes"]
    if complete and not entry["truncated"]:
        assert hashlib.sha256(written).hexdigest() == entry["sha256"], f"{stream}: {len(stored)} of {len(written)} bytes"
    assert written.startswith(stored), f"{stream} holds what the program did not write"
    return bool(entry["truncated"])


def artifacts_are_whole(site: Site, task_id: str) -> None:
    """I5 for files: of a program that has ended by itself each file is in object storage, with the bytes that it wrote."""
    if site.document(task_id)["cause"] in {None, "exit"}:
        kept = {each.path: b"".join(site.client.artifact(task_id, each.path)) for each in site.client.artifacts(task_id)}
        assert kept == site.programs[task_id].out, site.document(task_id)["artifacts_refused"]


def nothing_is_left(site: Site, *task_ids: str) -> None:
    """I4: the engine lists no container and no volume with the tasks' labels, storage no part, and the spool holds no file."""

    def clean() -> bool:
        try:
            return not any(site.containers(task_id) for task_id in task_ids) and not site.spooled() and not parts()
        except (InfrastructureError, OSError):
            return False

    def parts() -> list[str]:
        return [key for key in site.uploading() if key.partition("/")[0] in task_ids]

    deadline = time.monotonic() + pace.seconds(SETTLES)
    while not clean():
        left = {task_id: site.containers(task_id) for task_id in task_ids}
        assert time.monotonic() < deadline, f"left behind: {left}, {site.spooled()}, {parts()}"
        time.sleep(0.2)


def slots_are_free(site: Site, slots: Mapping[str, int]) -> None:
    """I6: on each queue, as many new tasks as its worker has slots run at the same time, and succeed."""
    side_by_side = round(max(3, sum(count for count in slots.values() if count > 1) / 2) * crowding())
    fresh: dict[str, list[str]] = {}
    for queue, count in slots.items():
        program = sleeper(side_by_side if count > 1 else 0, "succeeded")
        fresh[queue] = [site.submit(program, queue, limits={"timeout": 60 + side_by_side}) for _ in range(count)]
    for queue, tasks in fresh.items():
        site.ended(tasks)
        documents = [site.document(task_id) for task_id in tasks]
        assert [document["status"] for document in documents] == ["succeeded"] * slots[queue], [
            each["message"] for each in documents
        ]
        began = [document["history"][0]["at"] for document in documents]
        ended = [document["history"][1]["at"] for document in documents]
        assert not tasks or max(began) < min(ended), f"on {queue} they did not run side by side: a slot is lost"
