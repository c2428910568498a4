"""Requests about the process itself: whether it lives and can answer, and who asks."""

from http import HTTPStatus

from starlette.responses import Response

from orchestrator.release import version
from orchestrator.server.route import Call, json_answer
from orchestrator.server.tokens import Scope


async def healthz(_: Call) -> Response:
    """Its loop turns, for it answers."""
    return json_answer({"alive": True})


async def readyz(call: Call) -> Response:
    """Whether tasks can be handed in and followed."""
    found = {"mongodb": await call.backend.database.get(), "events": call.backend.broadcast.listens}
    return json_answer(found, HTTPStatus.OK if all(found.values()) else HTTPStatus.SERVICE_UNAVAILABLE)


async def whoami(call: Call) -> Response:
    """What the token allows, and what answers."""
    return json_answer(
        {
            "scope": call.caller.scope,
            "name": call.caller.name,
            "version": version(),
            "deployment": await call.backend.deployment(),
            "read_only": not call.caller.scope.allows(Scope.SUBMIT),
        }
    )
