"""Requests about tasks: hand in, look, list, cancel, try again, delete."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import repeat
from typing import Any

from attrs import frozen
from starlette.responses import Response

from orchestrator.client import Client
from orchestrator.errors import DuplicateTask, InfrastructureError, InvalidTask, NotEnded, OrchestratorError, UnknownTask
from orchestrator.log import logger
from orchestrator.ports import Search
from orchestrator.server.connections import json_object, until_gone
from orchestrator.server.events import Viewer
from orchestrator.server.problems import RETRY_AFTER, HttpError, problem_of
from orchestrator.server.route import Call, json_answer
from orchestrator.task import fields as kinds
from orchestrator.task.document import Task, readable
from orchestrator.task.plain import document
from orchestrator.task.validation import shown
from statemachine import TERMINAL

BATCH = 1000
"""Tasks in one batch."""
FOUND = 10
"""Ids that a search by their beginning gives."""


@frozen
class _Order:
    """A task to be handed in; ``own``: its id was chosen by the one who asks."""

    task_id: str
    request: Mapping[str, object]
    own: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "_Order":
        """From what was sent. Raises InvalidTask."""
        request = {name: value for name, value in given.items() if name != "id"}
        if given.get("id") is None:
            return cls(uuid.uuid4().hex, request, own=False)
        try:
            return cls(kinds.ID(given["id"]), request, own=True)
        except ValueError as error:
            raise InvalidTask([f"id: {error}"]) from None


async def submit(call: Call) -> Response:
    """Answers once the task is stored and in line; with ``wait`` once it has ended, or that time is over."""
    order = _Order.of(await json_object(call.request, call.backend.settings.api_body_max))
    with call.backend.broadcast.view(order.task_id) as viewer:
        task, status = await call.backend.call(_handed_in, call.backend.client, order)
        if call.given["wait"]:
            task = await _ended(call, task, viewer, call.given["wait"])
    return json_answer(document(task), status, {"Location": f"/v1/tasks/{task.id}"})


def _handed_in(client: Client, order: _Order) -> tuple[Task, HTTPStatus]:
    """The task; 200 when the same request was handed in before with this id. Raises DuplicateTask when another one was."""
    if full := _too_many_waiting(client):
        return _again(client, order, full), HTTPStatus.OK
    try:
        return client.submit(order.request, order.task_id), HTTPStatus.CREATED
    except DuplicateTask as error:
        return _again(client, order, error), HTTPStatus.OK
    except InfrastructureError as error:
        return _kept(client, order, error), HTTPStatus.CREATED


def _kept(client: Client, order: _Order, error: InfrastructureError) -> Task:
    """The task if it was stored before the error: then a sweep puts it in line. Raises the error when it was not."""
    task = _stored(client, order)
    if task is None:
        raise error
    logger.warning("task {} is stored and waits for a sweep: {}", task.id, error)
    return task


def _stored(client: Client, order: _Order) -> Task | None:
    """The task of the same request; None when none has the id. Raises DuplicateTask when that of another request has it."""
    if client.services.store.find(order.task_id) is None:
        return None
    task = client.get(order.task_id)
    if task.request != order.request:
        raise DuplicateTask(f"id: the id {order.task_id!r} is that of a task with another request")
    return task


def _again(client: Client, order: _Order, otherwise: OrchestratorError) -> Task:
    """The task of the same request, handed in before. Raises ``otherwise`` when there is none."""
    task = _stored(client, order) if order.own else None
    if task is None:
        raise otherwise
    return task


def _too_many_waiting(client: Client) -> HttpError | None:
    """That no more is taken; None while more is."""
    most = client.services.settings.max_queued
    if not most or client.services.queue.depth().jobs < most:
        return None
    words = f"{most} tasks or more wait for a worker, which is as many as MAX_QUEUED allows; try again"
    return HttpError(HTTPStatus.TOO_MANY_REQUESTS, words, headers={"Retry-After": str(RETRY_AFTER)})


async def _ended(call: Call, task: Task, viewer: Viewer, seconds: float) -> Task:
    """The task once it has ended, or as it is when the time is over or the client has gone."""
    ending = asyncio.ensure_future(_end(call, task, viewer))
    leaving = asyncio.ensure_future(until_gone(call.request))
    try:
        await asyncio.wait({ending, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return ending.result() if ending.done() else await call.backend.task(task.id)
    finally:
        ending.cancel()
        leaving.cancel()


async def _end(call: Call, task: Task, viewer: Viewer) -> Task:
    """The task once it has ended, or the server is to stop. The viewer was there before the task was read."""
    arriving = viewer.events()
    while task.status not in TERMINAL:
        try:
            event = await anext(arriving)
        except StopAsyncIteration:
            return await call.backend.task(task.id)
        if event is None or event.is_last:
            task = await call.backend.task(task.id)
    return task


async def submit_batch(call: Call) -> Response:
    """Each task for itself: one that is refused takes nothing from the others."""
    body = await json_object(call.request, call.backend.settings.api_body_max)
    given = body.get("tasks")
    if set(body) != {"tasks"} or not isinstance(given, list) or len(given) > BATCH:
        words = f"tasks: it is not a list of at most {BATCH} tasks, or there are other fields beside it"
        raise HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, words, [words])
    return json_answer({"tasks": await call.backend.call(_all_handed_in, call.backend.client, given)})


def _all_handed_in(client: Client, given: list[object]) -> list[dict[str, object]]:
    """What becomes of each, in order."""
    orders = [*map(_order_or_not, given)]
    found = iter(_results(client, [order for order in orders if isinstance(order, _Order)]))
    return [_told(client, order, next(found)) if isinstance(order, _Order) else _refused(order, None) for order in orders]


def _results(client: Client, orders: list[_Order]) -> Iterable[Task | OrchestratorError]:
    if full := _too_many_waiting(client):
        return repeat(full)
    try:
        return client.submit_many([each.request for each in orders], [each.task_id for each in orders])
    except InfrastructureError as error:
        return [_kept_or_not(client, order, error) for order in orders]


def _kept_or_not(client: Client, order: _Order, error: InfrastructureError) -> Task | OrchestratorError:
    """The task, or why it was not stored. Raises InfrastructureError when nobody can say, for the store is away."""
    try:
        client.check(order.task_id, order.request)
        return _stored(client, order) or error
    except (InvalidTask, DuplicateTask, UnknownTask) as refused:
        return refused


def _order_or_not(given: object) -> _Order | InvalidTask:
    if not isinstance(given, dict):
        return InvalidTask([f"task: {shown(given)} is not an object"])
    try:
        return _Order.of(given)
    except InvalidTask as error:
        return error


def _told(client: Client, order: _Order, result: Task | OrchestratorError) -> dict[str, object]:
    """What becomes of one task of a batch."""
    if isinstance(result, Task):
        return {"id": order.task_id, "status": HTTPStatus.CREATED, "task": document(result)}
    try:
        if isinstance(result, InvalidTask):
            raise result
        return {"id": order.task_id, "status": HTTPStatus.OK, "task": document(_again(client, order, result))}
    except OrchestratorError as error:
        return _refused(error, order.task_id if order.own else None)


def _refused(error: OrchestratorError, task_id: str | None) -> dict[str, object]:
    problem = problem_of(error)
    return {"id": task_id, "status": problem.status, "problem": problem.document()}


async def show(call: Call) -> Response:
    """Read without a thread."""
    return json_answer(document(await call.backend.task(call.given["id"])))


async def listed(call: Call) -> Response:
    """One page, and the cursor of the next one."""
    given, client = call.given, call.backend.client
    after = given["cursor"]
    if after is not None and await call.backend.documents.find(after) is None:
        words = "cursor: its task is not there any more; begin again without it"
        raise HttpError(HTTPStatus.NOT_FOUND, words, [words])
    search = {name: given[name] for name in ("cause", "image", "since", "until")} | {"labels": dict(given["label"])}
    wanted = Search(status=given["status"], after=after, **search)
    found = await call.backend.call(lambda: [*client.services.store.list(wanted, given["limit"] + 1)])
    page, more = found[: given["limit"]], found[given["limit"] :]
    shown_ones = [_part(document(task), given["fields"]) for task in readable(page)]
    return json_answer({"tasks": shown_ones, "next": page[-1]["_id"] if more else None})


def _part(own: dict[str, object], fields: tuple[str, ...] | None) -> dict[str, object]:
    return own if fields is None else {name: own[name] for name in ("_id", *fields) if name in own}


async def ids(call: Call) -> Response:
    """The first ids that begin so."""
    found = await call.backend.call(call.backend.client.services.store.ids, call.given["prefix"], FOUND)
    return json_answer({"ids": [*found]})


async def cancel(call: Call) -> Response:
    """The end comes later, unless it was still queued."""
    return json_answer(document(await call.backend.call(call.backend.client.cancel, call.given["id"])), HTTPStatus.ACCEPTED)


async def retry(call: Call) -> Response:
    """A new task with a new id; the old one stays as it is."""
    old = await call.backend.task(call.given["id"])
    if old.status not in TERMINAL:
        raise NotEnded(f"task {old.id!r} has not ended, it is {old.status}: only one that has ended is tried again")
    order = _Order.of({**old.request, "id": await _own_id(call)})
    if order.task_id == old.id:
        raise InvalidTask([f"id: {old.id!r} is the id of the task that is tried again"])
    task, status = await call.backend.call(_handed_in, call.backend.client, order)
    return json_answer(document(task), status, {"Location": f"/v1/tasks/{task.id}"})


async def _own_id(call: Call) -> object:
    """That of the new task; None when nothing is sent. Raises HttpError and InvalidTask."""
    headers = call.request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    given = await json_object(call.request, call.backend.settings.api_body_max)
    if others := {*given} - {"id"}:
        raise InvalidTask([f"{name}: it cannot be given here, only id" for name in sorted(others)])
    return given.get("id")


async def delete(call: Call) -> Response:
    """With its logs and artifacts."""
    await call.backend.call(call.backend.client.delete, call.given["id"])
    return Response(status_code=HTTPStatus.NO_CONTENT)
