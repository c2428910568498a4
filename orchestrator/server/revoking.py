"""Keeps tokens as their file is, and ends the answers of callers whose tokens are gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CancelScope
from attrs import frozen
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.server.events import Cut
from orchestrator.server.tokens import Caller, Tokens

_LOOK = 1.0
"""Seconds between two looks at the file."""


@frozen
class Watched:
    """An answer that is cut as soon as its caller's token is gone: an open stream would go on for hours."""

    answer: ASGIApp
    caller: Caller
    tokens: Tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises Cut, which closes the connection, when the token goes meanwhile."""
        with CancelScope() as answering, self.tokens.ending(self.caller, answering.cancel):
            await self.answer(scope, receive, send)
        if answering.cancelled_caught:
            raise Cut


@asynccontextmanager
async def kept_current(tokens: Tokens) -> AsyncIterator[None]:
    """A block in which the file of tokens is looked at."""
    looking = asyncio.create_task(_look(tokens))
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


async def _look(tokens: Tokens) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        tokens.look_again()
