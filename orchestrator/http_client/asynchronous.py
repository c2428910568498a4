"""The client over HTTP for asyncio: what waits, waits without a thread."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Self

import httpx

from orchestrator.async_client import AsyncClient
from orchestrator.errors import InfrastructureError
from orchestrator.http_client import wire
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api, Item, Place
from orchestrator.log import logger
from orchestrator.ports import Point, Stream
from orchestrator.retrying import SUBSCRIPTION
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.event import Event

_TIMEOUT = httpx.Timeout(45.0, connect=5.0)
"""Seconds without a byte: a stream has one at least every 15 s."""
_MANY = httpx.Limits(max_connections=None, max_keepalive_connections=20)


class AsyncHttpClient(AsyncClient):
    """The same methods as ``AsyncClient``, over HTTP. ``watch``, ``follow`` and ``get`` wait without a thread."""

    def __init__(self, client: HttpClient, api: Api, retry_budget: float = 60.0) -> None:
        self._client = client
        self._budget = retry_budget
        self._http = httpx.AsyncClient(base_url=api.url, headers=api.headers, timeout=_TIMEOUT, limits=_MANY, trust_env=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(HttpClient.of(settings), Api.of(settings), settings.retry_budget)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await asyncio.to_thread(self._client.close)

    async def get(self, task_id: str) -> Task:
        """See Client."""
        heard_at = time.monotonic()
        while True:
            try:
                async with self._answer(wire.task_path(task_id)) as answer:
                    return wire.task_of(json.loads(await answer.aread()))
            except InfrastructureError as error:
                await self._pause(error, heard_at)

    async def watch(self, task_id: str, after_seq: int = -1) -> AsyncIterator[Event]:
        """See Client."""
        async for item in self._streamed(wire.task_path(task_id, "/events"), str(after_seq)):
            if isinstance(item, Event):
                yield item

    async def follow(
        self,
        task_id: str,
        offsets: Mapping[Stream, int] | None = None,
        *,
        attempt: int | None = None,
        after_seq: int = -1,
        gaps: bool = False,
        samples: bool = False,
    ) -> AsyncIterator[Item]:
        """See Client."""
        if attempt is None:
            attempt = (await self.get(task_id)).attempt if offsets else 0
        place = str(Place(attempt, offsets or {}, after_seq))
        async for item in self._streamed(wire.task_path(task_id, f"/logs?follow=1&gaps={int(gaps)}"), place):
            if samples or not isinstance(item, Point):
                yield item

    async def _streamed(self, path: str, place: str) -> AsyncIterator[Item]:
        """What a stream of events tells, to its end; a connection that breaks is followed by another that goes on there."""
        heard_at = time.monotonic()
        while True:
            try:
                async for entry in self._told(path, place):
                    heard_at, place = time.monotonic(), entry.get("id", place)
                    if entry.get("event") == "end":
                        return
                    if (item := wire.item_of(entry)) is not None:
                        yield item
            except InfrastructureError as error:
                await self._pause(error, heard_at)

    async def _told(self, path: str, place: str) -> AsyncIterator[Mapping[str, str]]:
        """The entries, and an empty one for whatever comes, so that comments count. Raises InfrastructureError at the end."""
        lines = wire.Entries()
        async with self._answer(path, {"Last-Event-ID": place}) as answer:
            async for line in answer.aiter_lines():
                yield {}
                for entry in lines.take(line):
                    yield entry
        raise InfrastructureError(wire.SERVICE, "the stream ended early")

    async def _pause(self, error: InfrastructureError, heard_at: float) -> None:
        """Wait a little, or raise the error when nothing has come for too long."""
        if time.monotonic() > heard_at + self._budget:
            raise error
        logger.debug("the connection is sought again: {}", error)
        await asyncio.sleep(SUBSCRIPTION.delay(1))

    @asynccontextmanager
    async def _answer(self, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.Response]:
        """The answer, its body not yet read. Raises what an error stands for, and InfrastructureError."""
        try:
            async with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code >= HTTPStatus.BAD_REQUEST:
                    raise wire.error_of(answer.status_code, await answer.aread())
                yield answer
        except httpx.HTTPError as error:
            raise InfrastructureError(wire.SERVICE, f"{self._http.base_url} does not answer: {error!r}") from error
