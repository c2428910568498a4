"""Whether a request is what it seems: no name that was bound to this host behind its back, no page of another site."""

from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from orchestrator.server.problems import HttpError
from orchestrator.server.tokens import Caller
from orchestrator.task.validation import shown

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXIED = frozenset({"forwarded", "via", "x-real-ip"})
_FORWARDED = "x-forwarded-"
_LOCAL = frozenset({"localhost", "localhost."})


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this host alone."""
    if host.lower() in _LOCAL:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def expect_local(request: Request) -> None:
    """Raise HttpError when the request does not come from this host, as far as can be told: without tokens it may do all."""
    _expect_local_name(request)
    _expect_no_proxy(request)


def _expect_no_proxy(request: Request) -> None:
    """What a proxy passes on comes from loopback, however far away its sender is."""
    for name in request.headers:
        if name in _PROXIED or name.startswith(_FORWARDED):
            raise HttpError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"{name.title()}: a proxy sent this request; without API_TOKENS the server answers only to this host itself",
            )


def _expect_local_name(request: Request) -> None:
    """A page may have had its own name resolve to this host."""
    host = request.headers.get("host", "")
    if not is_loopback(_name(host)):
        raise HttpError(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"Host: {shown(host)} is not a name of loopback; without API_TOKENS only localhost, 127.0.0.1 and [::1] are",
        )


def expect_own_page(request: Request, caller: Caller) -> None:
    """Raise HttpError when a write comes from a page of another site, or when a browser does not say from which."""
    if request.method in SAFE:
        return
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is None and not caller.by_cookie:
        return
    if origin is None or urlsplit(origin).netloc.lower() != host.lower():
        raise HttpError(HTTPStatus.FORBIDDEN, f"Origin: {shown(origin)} is not this site, {shown(host)}")


def _name(host: str) -> str:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
