"""Lets requests in: by token or cookie, by scope, and only from where they may come."""

from http import HTTPStatus

from starlette.requests import Request

from orchestrator.server.origin import expect_local, expect_own_page
from orchestrator.server.problems import HttpError
from orchestrator.server.tokens import Caller, Scope, Tokens

_COOKIE = "orchestrator_session"
_LOCAL = Caller("local", Scope.ADMIN)
"""Without tokens: everybody on this host."""
_BEARER = "bearer "


def admit(request: Request, tokens: Tokens, needed: Scope | None) -> Caller:
    """The one who asks. Raises HttpError when that may not be done by them, or not from there."""
    if not tokens.are_needed:
        expect_local(request)
    caller = _caller(request, tokens) if tokens.are_needed else _LOCAL
    if needed is None:
        return caller or Caller("", Scope.READ)
    if caller is None:
        raise _unknown()
    if not caller.scope.allows(needed):
        words = f"Authorization: the scope of the token {caller.name} is {caller.scope}; {needed} is needed here"
        raise HttpError(HTTPStatus.FORBIDDEN, words)
    expect_own_page(request, caller)
    return caller


def readmit(caller: Caller, tokens: Tokens) -> None:
    """Raise HttpError if the token of a caller, who was let in earlier, is gone since."""
    if not tokens.admits(caller):
        raise _unknown()


def _unknown() -> HttpError:
    words = "Authorization: there is no valid token; send `Authorization: Bearer TOKEN`"
    return HttpError(HTTPStatus.UNAUTHORIZED, words, headers={"WWW-Authenticate": "Bearer"})


def _caller(request: Request, tokens: Tokens) -> Caller | None:
    """A token in the header is heeded before the cookie, also when it is not valid."""
    header = request.headers.get("authorization", "")
    if header:
        return tokens.caller(header[len(_BEARER) :].strip()) if header[: len(_BEARER)].lower() == _BEARER else None
    cookie = request.cookies.get(cookie_name(request), "")
    return tokens.caller_of(cookie) if cookie else None


def cookie_name(request: Request) -> str:
    """With the port that the browser sees: all servers of one host share its cookies."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"{_COOKIE}_{port}" if port.isdecimal() else _COOKIE
