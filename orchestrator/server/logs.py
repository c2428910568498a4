"""Requests for the output of a task: what is stored, and the bytes of a stream while the program runs."""

from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.responses import Response, StreamingResponse

from orchestrator.errors import OrchestratorError
from orchestrator.log import logger
from orchestrator.ports import Piece, Stream
from orchestrator.server.backend import Backend
from orchestrator.server.downloads import BYTES, Stored, attached, download
from orchestrator.server.events import Cut
from orchestrator.server.problems import HttpError
from orchestrator.server.route import Call
from orchestrator.task.document import Task
from orchestrator.task.values import LogObject
from statemachine import TERMINAL


async def log(call: Call) -> Response:
    """One stream: stored, or with ``follow`` to its end."""
    task, stream = await call.backend.task(call.given["id"]), call.given["stream"]
    if call.given["follow"]:
        _expect(call, "attempt")
        pieces = _bytes(call.backend, task, stream, call.given["offset"])
        return StreamingResponse(pieces, headers=attached(f"{task.id}.{stream}"), media_type=BYTES)
    _expect(call, "offset")
    attempt = call.given["attempt"]
    stored = _stored(task, stream, attempt)
    logs, name, past = call.backend.client.logs, f"{task.id}.{stream}", {each.attempt for each in task.attempts}
    return await download(
        call.backend,
        call.request,
        Stored(name, stored.bytes, stored.sha256),
        lambda offset: logs(task.id, stream, offset, attempt=attempt if attempt in past else None),
    )


def _expect(call: Call, absent: str) -> None:
    if call.given[absent]:
        words = f"{absent}: it cannot be given {'beside' if call.given['follow'] else 'without'} follow=1"
        raise HttpError(HTTPStatus.BAD_REQUEST, words, [words])


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
    return logs.stdout if stream is Stream.STDOUT else logs.stderr


async def _bytes(backend: Backend, task: Task, stream: Stream, offset: int) -> AsyncIterator[bytes]:
    """Each byte once, in order; what was not sent while the program ran comes from the stored log."""
    other = {each: 1 << 60 for each in Stream if each is not stream}
    seen = task.seq - 1 if task.status in TERMINAL else -1
    items = backend.follower.follow(task.id, {stream: offset, **other}, after_seq=seen)
    try:
        async for item in backend.broadcast.until_stopped(items):
            if isinstance(item, Piece) and item.stream is stream:
                yield item.data
    except OrchestratorError as error:
        logger.warning("a stream ends early: {}", error)
        raise Cut from error
