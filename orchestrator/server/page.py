"""The page for people: its files, and the cookie that opens it."""

import html
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestrator.server.gate import cookie_name
from orchestrator.server.origin import expect_local
from orchestrator.server.problems import HttpError
from orchestrator.server.tokens import Tokens

FOLDER = Path(__file__).parent / "page"
_INDEX = "index.html"
_FOR_EVER = "max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def is_built(folder: Path) -> bool:
    """Whether a folder has the page."""
    return (folder / _INDEX).is_file()


def entrance(request: Request, tokens: Tokens, folder: Path) -> Response:
    """The page; with ``token`` in the query that becomes a cookie, and the address one without it. Raises HttpError."""
    if not tokens.are_needed:
        expect_local(request)
    if (token := request.query_params.get("token")) is not None:
        return _opened(request, tokens, token)
    if is_built(folder):
        return FileResponse(folder / _INDEX, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})
    return HTMLResponse(_ABSENT)


def files(folder: Path) -> list[Route]:
    """The files of the page, each by its own name, so that nothing else is answered by them; none where it was not built."""
    if not is_built(folder):
        return []
    found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [Route(f"/{name.as_posix()}", _given(folder, name)) for name in found]


def _given(folder: Path, name: Path) -> Callable[[Request], Awaitable[Response]]:
    """With the policy of the page. A name in ``assets`` has a hash of the content in it, so that file never changes."""
    kept = _FOR_EVER if "assets" in name.parts else "no-cache"

    async def give(_: Request) -> Response:
        return FileResponse(folder / name, headers={"Content-Security-Policy": _POLICY, "Cache-Control": kept})

    return give


def _opened(request: Request, tokens: Tokens, token: str) -> Response:
    session = tokens.session(token)
    if tokens.are_needed and session is None:
        raise HttpError(HTTPStatus.UNAUTHORIZED, "token: it is not valid; was the server started again since?")
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    if session is not None:
        response.set_cookie(cookie_name(request), session, httponly=True, samesite="strict", secure=_is_encrypted(request))
    return response


def _is_encrypted(request: Request) -> bool:
    """On the way from the browser; what a proxy says of it can only make the cookie stricter."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()}


_WORDS = "The page is not built here. The API is described in"
_ABSENT = f'<!doctype html><title>orchestrator</title><p>{html.escape(_WORDS)} <a href="/docs">/docs</a>.\n'
