"""Streams of server-sent events: the events of a task or of all, and a task's output while it runs."""

import base64
import json
from collections.abc import AsyncIterator
from http import HTTPStatus

from attrs import asdict, define, field
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from orchestrator.errors import OrchestratorError, UnknownTask
from orchestrator.log import logger
from orchestrator.output.following import Missed, news
from orchestrator.ports import Piece, Point, Stream
from orchestrator.server.backend import Backend
from orchestrator.server.events import Cut
from orchestrator.server.problems import HttpError
from orchestrator.server.route import Call
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.validation import shown
from statemachine import TERMINAL

_PING = 15
_UNREAD = 30.0
"""Seconds after which a viewer that does not read is dropped."""
_LINE = "\n"
_END = ServerSentEvent("{}", event="end", sep=_LINE)
LAST_ID = "last-event-id"


def _streamed(events: AsyncIterator[ServerSentEvent]) -> Response:
    return EventSourceResponse(_while_possible(events), ping=_PING, send_timeout=_UNREAD, sep=_LINE)


async def _while_possible(events: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    """To the first error: the viewer comes back and goes on where it was."""
    try:
        async for event in events:
            yield event
    except (OrchestratorError, Cut) as error:
        logger.debug("a stream ends early: {!r}", error)


async def all_events(call: Call) -> Response:
    """Of this deployment, from now on."""
    return _streamed(_all(call.backend, await call.backend.deployment()))


async def _all(backend: Backend, deployment: str) -> AsyncIterator[ServerSentEvent]:
    with backend.broadcast.view(None) as viewer:
        yield ServerSentEvent(comment="listening", sep=_LINE)
        async for event in viewer.events():
            if event is not None and event.deployment in {"", deployment}:
                yield ServerSentEvent(event.to_json(), event="transition", sep=_LINE)


async def task_events(call: Call) -> Response:
    """All events of a task after the one with ``Last-Event-ID``, to the last one."""
    task, seen = await call.backend.task(call.given["id"]), _seq(call.request.headers.get(LAST_ID, "-1"))
    return _streamed(_of_task(call.backend, task, seen))


async def _of_task(backend: Backend, task: Task, seen: int) -> AsyncIterator[ServerSentEvent]:
    async for event in events_of(backend, task.id, seen):
        yield _transition(event, str(event.seq))
    yield _END


async def events_of(backend: Backend, task_id: str, seen: int) -> AsyncIterator[Event]:
    """Every event after ``seen``, once each and in order; ends behind the last one. Raises Cut when the viewer is dropped."""
    deployment = await backend.deployment()
    with backend.broadcast.view(task_id) as viewer:
        told: list[Event] | None = None
        arriving = viewer.events()
        while True:
            if told is None:
                task = await backend.task(task_id)
                told = Event.all_of(task, seen, deployment)
                if not told and task.status in TERMINAL:
                    return
            for event in told:
                seen = event.seq
                yield event
                if event.is_last:
                    return
            try:
                told = news(await anext(arriving), seen, deployment)
            except StopAsyncIteration:
                raise Cut from None


def _seq(text: str) -> int:
    """Raises HttpError."""
    try:
        return int(text)
    except ValueError:
        raise _not_an_id(text) from None


def _not_an_id(text: str) -> HttpError:
    words = f"Last-Event-ID: {shown(text)} is not the id of an event of this stream"
    return HttpError(HTTPStatus.BAD_REQUEST, words, [words])


def _transition(event: Event, event_id: str) -> ServerSentEvent:
    return ServerSentEvent(event.to_json(), event="transition", id=event_id, sep=_LINE)


@define
class Place:
    """How far a viewer of the output is."""

    attempt: int = 0
    offsets: dict[Stream, int] = field(factory=lambda: dict.fromkeys(Stream, 0))
    seq: int = -1

    @classmethod
    def read(cls, text: str) -> "Place":
        """From the id of an entry, attempt:stdout:stderr:seq. Raises HttpError."""
        try:
            attempt, stdout, stderr, seq = map(int, text.split(":"))
        except ValueError:
            raise _not_an_id(text) from None
        if min(attempt, stdout, stderr) < 0:
            raise _not_an_id(text)
        return cls(attempt, {Stream.STDOUT: stdout, Stream.STDERR: stderr}, seq)

    def pass_by(self, item: Piece | Missed | Point | Event) -> None:
        """Note that it was sent. What was missed comes at the end, or never: the next piece says where the stream goes on."""
        if isinstance(item, Event):
            self.seq = item.seq
            return
        if item.attempt > self.attempt:
            self.attempt, self.offsets = item.attempt, dict.fromkeys(Stream, 0)
        if isinstance(item, Piece):
            self.offsets[item.stream] = item.end

    def __str__(self) -> str:
        return ":".join(map(str, (self.attempt, *(self.offsets[stream] for stream in Stream), self.seq)))


async def output(call: Call) -> Response:
    """Both streams and the events of a task, from where the viewer was."""
    task = await call.backend.task(call.given["id"])
    place = Place.read(call.request.headers.get(LAST_ID) or call.given["from"] or "0:0:0:-1")
    return _streamed(_output(call.backend, task, place, gaps=call.given["gaps"]))


async def _output(backend: Backend, task: Task, place: Place, *, gaps: bool) -> AsyncIterator[ServerSentEvent]:
    if task.status not in TERMINAL or place.seq < task.seq:
        where = {"attempt": place.attempt, "after_seq": place.seq}
        items = backend.follower.follow(task.id, place.offsets, **where, gaps=gaps, samples=True)
        try:
            async for item in backend.broadcast.until_stopped(items):
                place.pass_by(item)
                yield _entry(item, str(place))
        except UnknownTask:
            pass  # it was deleted meanwhile, so nothing follows
    yield _END


def _entry(item: Piece | Missed | Point | Event, place: str) -> ServerSentEvent:
    match item:
        case Event():
            return _transition(item, place)
        case Point():
            return ServerSentEvent(json.dumps(asdict(item)), event="sample", id=place)
        case Missed():
            own = {"attempt": item.attempt, "stream": item.stream, "offset": item.offset, "bytes": item.size}
            return ServerSentEvent(json.dumps(own), event="missed", id=place, sep=_LINE)
        case Piece():
            data = base64.b64encode(item.data).decode()
            said = {"attempt": item.attempt, "stream": item.stream, "offset": item.offset, "data": data}
            return ServerSentEvent(json.dumps(said), event="piece", id=place, sep=_LINE)
