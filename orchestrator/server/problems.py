"""Errors as RFC 9457 problems. Says which status an error of the package has; the words are the error's own."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from attrs import frozen
from starlette.responses import Response

from orchestrator.errors import (
    DuplicateTask,
    InfrastructureError,
    InvalidTask,
    NotEnded,
    OrchestratorError,
    UnknownTask,
    WrongDatabase,
)
from orchestrator.log import logger
from orchestrator.task.plain import as_json

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2
"""Seconds after which a client may ask again."""
_STATUSES: Mapping[type[OrchestratorError], HTTPStatus] = {
    InvalidTask: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownTask: HTTPStatus.NOT_FOUND,
    DuplicateTask: HTTPStatus.CONFLICT,
    NotEnded: HTTPStatus.CONFLICT,
    WrongDatabase: HTTPStatus.CONFLICT,
    InfrastructureError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class HttpError(OrchestratorError):
    """A request that is not answered with what it asks for; ``problems`` has a sentence for each bad field."""

    def __init__(
        self, status: HTTPStatus, message: str, problems: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


@frozen
class Problem:
    """What is answered in place of what was asked for."""

    status: HTTPStatus
    detail: str
    problems: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    kind: str = ""
    """The name of the error of the package, for programs."""

    def document(self) -> dict[str, object]:
        """The members of RFC 9457, and each bad field in ``errors``."""
        told: dict[str, object] = {"type": self._type, "title": self.status.phrase, "status": self.status.value}
        errors = {"errors": [*map(_field_and_message, self.problems)]} if self.problems else {}
        return {**told, "detail": self.detail, **errors}

    @property
    def _type(self) -> str:
        return f"urn:orchestrator:error:{self.kind}" if self.kind else "about:blank"

    def response(self) -> Response:
        """The answer."""
        return Response(as_json(self.document(), indent=None), self.status, dict(self.headers), MEDIA_TYPE)


def problem_of(error: OrchestratorError) -> Problem:
    """The problem that an error is. What a server said stays in the log: it may name hosts."""
    if isinstance(error, HttpError):
        return Problem(error.status, str(error), error.problems, error.headers)
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    if status is None:
        logger.error("a request failed: {}", error)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed; the log of the server says why")
    if isinstance(error, InfrastructureError):
        logger.warning("a request failed: {}", error)
        words = f"{error.service} does not answer now; try again"
        return Problem(status, words, headers={"Retry-After": str(RETRY_AFTER)})
    return Problem(status, str(error), error.problems if isinstance(error, InvalidTask) else (), kind=type(error).__name__)


def _field_and_message(sentence: str) -> dict[str, str]:
    field, colon, message = sentence.partition(": ")
    return {"field": field, "message": message} if colon else {"field": "", "message": sentence}
