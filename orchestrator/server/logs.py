"""Requests for the output of a task: what is stored, and the bytes of a stream while the program runs."""

from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.responses import Response, StreamingResponse

from orchestrator.errors import OrchestratorError
from orchestrator.log import logger
from orchestrator.output.following import Missed
from orchestrator.ports import Piece, Point, Stream
from orchestrator.server.backend import Backend
from orchestrator.server.downloads import BYTES, Stored, attached, download
from orchestrator.server.events import Cut
from orchestrator.server.problems import HttpError
from orchestrator.server.route import Call
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.values import LogObject
from statemachine import INITIAL, TERMINAL

ATTEMPT = "Task-Attempt"
"""The header that says which attempt the bytes are of."""


async def log(call: Call) -> Response:
    """One stream: stored, or with ``follow`` to the end of its attempt."""
    task, stream, attempt = await call.backend.task(call.given["id"]), call.given["stream"], call.given["attempt"]
    if call.given["follow"]:
        return await _followed(call, task, stream, attempt or max(task.attempt, 1))
    if call.given["offset"]:
        words = "offset: it cannot be given without follow=1"
        raise HttpError(HTTPStatus.BAD_REQUEST, words, [words])
    stored = _stored(task, stream, attempt)
    logs, name, past = call.backend.client.logs, f"{task.id}.{stream}", {each.attempt for each in task.attempts}
    return await download(
        call.backend,
        call.request,
        Stored(name, stored.bytes, stored.sha256),
        lambda offset: logs(task.id, stream, offset, attempt=attempt if attempt in past else None),
    )


async def _followed(call: Call, task: Task, stream: Stream, attempt: int) -> Response:
    """The bytes of one attempt: what it prints from now on, or what is stored of one that another followed."""
    current, offset = max(task.attempt, 1), call.given["offset"]
    if attempt > current:
        words = f"attempt: {attempt} is not there, task {task.id!r} is at attempt {current}"
        raise HttpError(HTTPStatus.CONFLICT, words, [words])
    if attempt < current:
        size = _stored(task, stream, attempt).bytes
        chunks = await _rest(call.backend, task.id, stream, attempt, offset, size)
    else:
        chunks = _bytes(call.backend, task, stream, attempt, offset)
    headers = {**attached(f"{task.id}.{stream}"), ATTEMPT: str(attempt)}
    return StreamingResponse(chunks, headers=headers, media_type=BYTES)


async def _rest(backend: Backend, task_id: str, stream: Stream, attempt: int, offset: int, size: int) -> AsyncIterator[bytes]:
    """What is stored of an attempt that another followed, from an offset on."""
    logs = backend.client.logs
    return await backend.opened(lambda: logs(task_id, stream, offset, attempt=attempt), max(size - offset, 0))


def _stored(task: Task, stream: Stream, attempt: int | None) -> LogObject:
    """Raises HttpError when nothing is stored of it, or no more."""
    past = next((past for past in task.attempts if past.attempt == attempt), None)
    logs = past.logs if past else task.logs if attempt in {None, max(task.attempt, 1)} else None
    if task.logs_removed_at:
        words = f"the logs of task {task.id!r} were kept for a time only: removed on {task.logs_removed_at:%Y-%m-%d}"
        raise HttpError(HTTPStatus.GONE, words)
    if logs is None:
        of = f" of attempt {attempt}" if attempt else ""
        later = "" if task.status in TERMINAL else f": it is {task.status}; follow=1 gives its output while it runs"
        raise HttpError(HTTPStatus.CONFLICT, f"task {task.id!r} has no stored log{of}{later}")
    return logs.of(stream)


async def _bytes(backend: Backend, task: Task, stream: Stream, attempt: int, offset: int) -> AsyncIterator[bytes]:
    """Each byte of the present attempt once, in order; what was not sent while the program ran comes from the stored log."""
    other = {each: 1 << 60 for each in Stream if each is not stream}
    seen = task.seq - 1 if task.status in TERMINAL else task.seq
    items = backend.follower.follow(task.id, {stream: offset, **other}, attempt=attempt, after_seq=seen)
    whole = True
    try:
        async for item in backend.broadcast.until_stopped(items):
            if _is_over(attempt, item):
                break
            if isinstance(item, Piece) and item.stream is stream:
                offset = item.end
                yield item.data
            elif isinstance(item, Missed) and item.stream is stream:
                whole = False
        else:
            return
        async for data in _left(backend, task.id, stream, attempt, offset, whole=whole):
            yield data
    except OrchestratorError as error:
        logger.warning("a stream ends early: {}", error)
        raise Cut from error


def _is_over(attempt: int, item: Piece | Missed | Point | Event) -> bool:
    """Whether another attempt follows: the task is queued again, or something of that attempt has come."""
    return item.status is INITIAL if isinstance(item, Event) else item.attempt > attempt


async def _left(
    backend: Backend, task_id: str, stream: Stream, attempt: int, offset: int, *, whole: bool
) -> AsyncIterator[bytes]:
    """What was not sent of an attempt that another follows. Raises Cut if bytes are missing that are not stored."""
    task = await backend.task(task_id)
    logs = next((past.logs for past in task.attempts if past.attempt == attempt), None)
    if logs and not task.logs_removed_at:
        async for data in await _rest(backend, task_id, stream, attempt, offset, logs.of(stream).bytes):
            yield data
    elif not whole:
        raise Cut
