"""The page of the requests to the HTTP API, made from the table that answers them."""

from orchestrator.server.route import Answer, Route
from orchestrator.server.routes import ROUTES
from scripts.pages import NOTICE, table


def http_page() -> str:
    """Every request."""
    return f"{NOTICE}{_TEXT}{''.join(map(_request, ROUTES))}"


def _request(route: Route) -> str:
    scope = f"Scope `{route.scope}`." if route.scope else "Needs no token."
    given = [(f"`{each.name}`", f"{each.meaning} It is {each.kind.phrase}.") for each in route.parameters]
    told = {status: _said(answer) for status, answer in route.answers.items()} | dict(route.problems)
    answers = ((str(status), words) for status, words in sorted(told.items()))
    head = f"\n## {route.method} {route.path.replace(':path}', '}')}\n\n{route.summary} {scope}\n\n"
    parameters = f"{table('parameter', 'meaning', rows=given)}\n" if given else ""
    return f"{head}{parameters}{table('status', 'meaning', rows=answers)}"


def _said(answer: Answer) -> str:
    return " ".join([answer.description, *(f"`{name}`: {words}" for name, words in answer.headers.items())])


_TEXT = """\
# Requests to the HTTP API

[How to use it](../http-api.md). A problem is JSON by RFC 9457. Beside the statuses that are named, 400 is a request that is not
well-formed, 401 one without a valid token, 403 one that the token does not allow, 500 a fault of the server, and 503 a service
that is away.
"""
