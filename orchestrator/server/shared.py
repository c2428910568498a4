"""One answer for all who ask at once, or soon after."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_FRESH = 1.0
"""Seconds for which an answer is told again: every viewer of the page asks."""


class Shared(Generic[T]):
    """What a question is answered; an error is told to each who asked."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._asked_at = -inf
        self._answer: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The answer of a second ago at most; one that is awaited is awaited by all, however long ago it was asked for."""
        if self._answer is None or (self._answer.done() and monotonic() > self._asked_at + _FRESH):
            self._asked_at, self._answer = monotonic(), asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._answer)
