"""The page that describes the API, made from the table of routes; it asks for nothing else."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from starlette.responses import HTMLResponse, Response

from orchestrator.server.route import Route

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: .9em ui-monospace, monospace; }
section { border-top: 1px solid #8886; padding: .5rem 0; }
h2 { font-size: 1.05rem; }
table { border-collapse: collapse; }
td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def docs_page(routes: Iterable[Route]) -> Response:
    """The page."""
    body = "".join(f"<section>{''.join(_section(route))}</section>\n" for route in routes)
    return HTMLResponse(f"{_HEAD}<style>{_STYLE}</style>\n{_TITLE}{body}", headers={"Content-Security-Policy": _POLICY})


def _section(route: Route) -> Iterator[str]:
    path = route.path.replace(":path}", "}")
    scope = f" · scope {route.scope}" if route.scope else ""
    yield f"<h2><code>{route.method} {escape(path)}</code></h2><p>{_words(route.summary)}{scope}</p><table>"
    for each in route.parameters:
        yield f"<tr><td><code>{each.name}</code><td>{_words(f'{each.meaning} It is {each.kind.phrase}.')}</tr>"
    answers = {status: answer.description for status, answer in route.answers.items()}
    for status, words in sorted({**answers, **route.problems}.items()):
        yield f"<tr><td>{status}<td>{_words(words)}</tr>"
    yield "</table>"


def _words(text: str) -> str:
    """Backticks are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


_HEAD = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
_TITLE = """\
<title>HTTP API of orchestrator</title>
<h1>HTTP API</h1>
<p>The same as a document for programs: <a href="/openapi.json">/openapi.json</a>. A task in JSON is what
<code>orchestrator show --json</code> prints. Errors are problems by RFC 9457 with a sentence in <code>detail</code> and each
bad field in <code>errors</code>.</p>
"""
