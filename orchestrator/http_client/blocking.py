"""The client over HTTP for threads."""

import builtins
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from itertools import repeat
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from orchestrator.app import Services
from orchestrator.cause import Cause
from orchestrator.client import Client
from orchestrator.errors import (
    DuplicateTask,
    InfrastructureError,
    InvalidTask,
    NotEnded,
    NotSettled,
    SettingsError,
    UnknownTask,
)
from orchestrator.http_client import wire
from orchestrator.http_client.figures import stats_of, window_of
from orchestrator.http_client.wire import Api, Item, Place
from orchestrator.log import logger
from orchestrator.outcome.series import Series
from orchestrator.outcome.stats import Stats
from orchestrator.ports import Point, Stream
from orchestrator.retrying import SERVICE, SUBSCRIPTION, Retrier
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.plain import as_json, document
from orchestrator.task.values import Document
from statemachine import TERMINAL, State

T = TypeVar("T")
_CONNECT, _SILENCE = 5.0, 45.0
"""Seconds for a connection, and without a byte: a stream has one at least every 15 s."""
_CHUNK = 1 << 16
_FRAMED = {"content-length", "transfer-encoding"}
"""One of these says where an answer ends; without, one that broke off would look whole."""


class HttpClient(Client):
    """The same methods as ``Client``, over HTTP. A call is made again while the API is away, for RETRY_BUDGET at most."""

    def __init__(self, api: Api, retry_budget: float = 60.0) -> None:
        self._api = api
        self._budget = retry_budget
        timeout = urllib3.Timeout(connect=_CONNECT, read=_SILENCE)
        self._pool = urllib3.PoolManager(maxsize=8, timeout=timeout, retries=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(Api.of(settings), settings.retry_budget)

    @property
    def services(self) -> Services:  # type: ignore[override]
        """There are none. Raises SettingsError."""
        raise SettingsError("ORCHESTRATOR_URL: this takes the servers themselves; set MONGO_URI, REDIS_URL, MINIO_ENDPOINT")

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def check(self, task_id: str, request: Mapping[str, object]) -> None:
        """The API checks it, by the rules of its own settings."""

    def reach(self) -> None:
        """Raise InfrastructureError when the API is away, and SettingsError when it does not know the token."""
        self._json("GET", "/v1/whoami")

    def expect_workers(self) -> str:
        """See Client; empty, too, when the API does not tell."""
        try:
            return "" if self._json("GET", "/v1/workers")["workers"] else "no worker takes tasks now"
        except UnknownTask:
            return ""

    def slots(self) -> tuple[int, int]:
        """See Client; none when the API does not tell."""
        try:
            workers = self._json("GET", "/v1/workers")["workers"]
        except UnknownTask:
            return 0, 0
        return sum(len(worker["tasks"]) for worker in workers), sum(worker["slots"] for worker in workers)

    def submit(self, request: Mapping[str, object], task_id: str | None = None) -> Task:
        """See Client. Tried again under the same id, so that the task is handed in once."""
        task_id = uuid.uuid4().hex if task_id is None else task_id
        tries = 0

        def hand_in() -> Task:
            nonlocal tries
            tries += 1
            with self._answer("POST", "/v1/tasks", {**request, "id": task_id}) as answer:
                if answer.status == HTTPStatus.OK and tries == 1:
                    raise DuplicateTask(f"id: the id {task_id!r} is that of a task already")
                return wire.task_of(json.loads(answer.read()))

        return self._patient(hand_in)

    def submit_many(
        self, requests: Iterable[Mapping[str, object]], task_ids: Iterable[str | None] | None = None
    ) -> builtins.list[Task | InvalidTask | DuplicateTask]:
        """See Client. Up to 1000 go together, and a mebibyte; where that is too much for the API, each goes alone."""
        named = zip(requests, repeat(None) if task_ids is None else task_ids, strict=task_ids is not None)
        orders = [(request, uuid.uuid4().hex if task_id is None else task_id) for request, task_id in named]
        results: builtins.list[Task | InvalidTask | DuplicateTask] = []
        for some in wire.batches(orders):
            try:
                results += self._submit_batch(some)
            except InvalidTask:
                results += [self._submit_or_not(request, task_id) for request, task_id in some]
        return results

    def _submit_or_not(self, request: Mapping[str, object], task_id: str) -> Task | InvalidTask | DuplicateTask:
        try:
            return self.submit(request, task_id)
        except (InvalidTask, DuplicateTask) as error:
            return error

    def _submit_batch(self, orders: Iterable[wire.Order]) -> builtins.list[Task | InvalidTask | DuplicateTask]:
        """In one request. Raises InvalidTask when it is refused as a whole."""
        body = {"tasks": [{**request, "id": task_id} for request, task_id in orders]}
        tries = 0

        def hand_in() -> builtins.list[Task | InvalidTask | DuplicateTask]:
            nonlocal tries
            tries += 1
            with self._answer("POST", "/v1/tasks:batch", body) as answer:
                return [wire.result_of(each, is_first=tries == 1) for each in json.loads(answer.read())["tasks"]]

        return self._patient(hand_in)

    def get(self, task_id: str) -> Task:
        """See Client."""
        return wire.task_of(self._json("GET", wire.task_path(task_id)))

    def list(
        self,
        status: State | None = None,
        limit: int = 50,
        *,
        cause: Cause | None = None,
        image: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> builtins.list[Task]:
        """See Client."""
        wanted = {"status": status, "cause": cause, "image": image, "since": _iso(since), "until": _iso(until)}
        query = [(name, value) for name, value in wanted.items() if value is not None]
        query += [("label", f"{name}={value}") for name, value in (labels or {}).items()]
        tasks: builtins.list[Task] = []
        while len(tasks) < limit:
            page = self._page([*query, ("limit", str(min(limit - len(tasks), wire.PAGE)))], after)
            tasks += [wire.task_of(each) for each in page["tasks"]]
            after = page["next"]
            if after is None:
                break
        return tasks

    def _page(self, query: builtins.list[tuple[str, str]], cursor: str | None) -> Any:
        """Behind a task that is not there any more nothing follows."""
        try:
            return self._json("GET", f"/v1/tasks?{urlencode([*query, *([('cursor', cursor)] if cursor else [])])}")
        except UnknownTask:
            return {"tasks": [], "next": None}

    def _ids(self, prefix: str, limit: int) -> builtins.list[str]:
        try:
            found: builtins.list[str] = self._json("GET", f"/v1/ids?{urlencode({'prefix': prefix})}")["ids"]
        except InvalidTask:  # it can begin no id
            return []
        return found[:limit]

    def stats(self, window: float = 3600.0) -> Stats:
        """See Client. The API rounds the window: to minutes from ten of them on, to hours from a day on."""
        return stats_of(self._json("GET", f"/v1/stats?window={window_of(window)}"))

    def series(self, task_id: str, attempt: int | None = None) -> Series | None:
        """See Client."""
        query = "" if attempt is None else f"?attempt={attempt}"
        told = self._json("GET", wire.task_path(task_id, f"/metrics{query}"))["series"]
        return None if told is None else Series.from_json(json.dumps(told).encode())

    def _points(self, _: builtins.list[str]) -> Mapping[str, Point]:
        """The API tells none of tasks that nobody follows."""
        return {}

    def watch(self, task_id: str, after_seq: int = -1) -> Iterator[Event]:
        """See Client."""
        for item in self._streamed(wire.task_path(task_id, "/events"), str(after_seq)):
            if isinstance(item, Event):
                yield item

    def follow(
        self,
        task_id: str,
        offsets: Mapping[Stream, int] | None = None,
        *,
        attempt: int | None = None,
        after_seq: int = -1,
        gaps: bool = False,
        samples: bool = False,
    ) -> Iterator[Item]:
        """See Client."""
        if attempt is None:
            attempt = self.get(task_id).attempt if offsets else 0
        place = Place(attempt, offsets or {}, after_seq)
        items = self._streamed(wire.task_path(task_id, f"/logs?follow=1&gaps={int(gaps)}"), str(place))
        return (item for item in items if samples or not isinstance(item, Point))

    def cancel(self, task_id: str) -> Task:
        """See Client."""
        return wire.task_of(self._json("POST", wire.task_path(task_id, "/cancel")))

    def delete(self, task_id: str) -> None:
        """See Client."""
        tries = 0

        def delete() -> None:
            nonlocal tries
            tries += 1
            try:
                with self._answer("DELETE", wire.task_path(task_id)):
                    pass
            except UnknownTask:
                if tries == 1:
                    raise

        self._patient(delete)

    def expect_removable(self, task_id: str) -> Document:
        """See Client."""
        task = self.get(task_id)
        if task.status not in TERMINAL:
            raise NotEnded(f"task {task_id!r} has not ended, it is {task.status}; cancel it first, or wait for its end")
        if not task.settled:
            raise NotSettled(f"task {task_id!r} has ended, but its worker has not released all that it had; try again")
        return document(task)

    def delete_all(self, tasks: Iterable[Task]) -> Iterator[str]:
        """See Client; one after the other."""
        for task in tasks:
            try:
                self.delete(task.id)
            except (UnknownTask, NotEnded):
                continue
            yield task.id

    def logs(self, task_id: str, stream: Stream | str, offset: int = 0, *, attempt: int | None = None) -> Iterator[bytes]:
        """See Client."""
        query = f"?attempt={attempt}" if attempt is not None else ""
        return self._begun(wire.task_path(task_id, f"/logs/{Stream(stream)}{query}"), offset)

    def artifact(self, task_id: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """See Client."""
        return self._begun(wire.artifact_path(task_id, path), offset)

    def _begun(self, path: str, offset: int) -> Iterator[bytes]:
        """Asked for at once, so that an error comes from the call, as it does from the other client."""
        chunks = self._bytes(path, offset)
        first = next(chunks, b"")
        return (chunk for source in ([first], chunks) for chunk in source if chunk)

    def _bytes(self, path: str, offset: int) -> Iterator[bytes]:
        """What is stored from an offset on; a connection that breaks is followed by another that goes on there.

        Raises SettingsError when all of it comes in place of the rest.
        """
        at, heard_at = offset, time.monotonic()
        while True:
            try:
                with self._answer("GET", path, headers={"Range": f"bytes={at}-"}) as answer:
                    if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                        return
                    if at and answer.status != HTTPStatus.PARTIAL_CONTENT:
                        raise SettingsError("ORCHESTRATOR_URL: what answers there ignores Range, so no download can go on")
                    for chunk in answer.stream(_CHUNK):
                        at, heard_at = at + len(chunk), time.monotonic()
                        yield chunk
            except InfrastructureError as error:
                self._pause(error, heard_at)
            else:
                return

    def _streamed(self, path: str, place: str) -> Iterator[Item]:
        """What a stream of events tells, to its end; a connection that breaks is followed by another that goes on there."""
        heard_at = time.monotonic()
        while True:
            try:
                for entry in self._heard(path, place):
                    heard_at, place = time.monotonic(), entry.get("id", place)
                    if entry.get("event") == "end":
                        return
                    if (item := wire.item_of(entry)) is not None:
                        yield item
            except InfrastructureError as error:
                self._pause(error, heard_at)

    def _heard(self, path: str, place: str) -> Iterator[Mapping[str, str]]:
        """The entries, and an empty one for whatever comes, so that comments count. Raises InfrastructureError at the end."""
        lines, rest = wire.Entries(), b""
        with self._answer("GET", path, headers={"Last-Event-ID": place}) as answer:
            for chunk in answer.stream(_CHUNK):
                yield {}
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield from lines.take(line.decode().removesuffix("\r"))
        raise InfrastructureError(wire.SERVICE, "the stream ended early")

    def _pause(self, error: InfrastructureError, heard_at: float) -> None:
        """Wait a little, or raise the error when nothing has come for too long."""
        if time.monotonic() > heard_at + self._budget:
            raise error
        logger.debug("the connection is sought again: {}", error)
        time.sleep(SUBSCRIPTION.delay(1))

    def _patient(self, call: Callable[[], T]) -> T:
        return Retrier(backoff=SERVICE).for_at_most(self._budget, call)

    def _json(self, method: str, path: str) -> Any:
        def ask() -> Any:
            with self._answer(method, path) as answer:
                return json.loads(answer.read())

        return self._patient(ask)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """The answer, its body not yet read. Raises what an error stands for, and InfrastructureError."""
        given = None if body is None else as_json(body, indent=None).encode()
        sent = {**self._api.headers, **(headers or {}), **({"Content-Type": "application/json"} if given else {})}
        try:
            answer = self._pool.request(method, f"{self._api.url}{path}", given, headers=sent, preload_content=False)
        except HTTPError as error:
            self._away(error)
        try:
            if answer.status >= HTTPStatus.BAD_REQUEST and answer.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise wire.error_of(answer.status, answer.read())
            if answer.status != HTTPStatus.NO_CONTENT and not _FRAMED & {*map(str.lower, answer.headers)}:
                raise InfrastructureError(wire.SERVICE, "the headers of its answer are not whole")
            yield answer
        except HTTPError as error:
            self._away(error)
        finally:
            answer.close()
            answer.release_conn()

    def _away(self, error: HTTPError) -> NoReturn:
        raise InfrastructureError(wire.SERVICE, f"{self._api.url} does not answer: {error}") from error


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
