"""The pages for people, what every answer has, and the OpenAPI document with what schemathesis makes of it."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from attrs import frozen
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sse_starlette.sse import SendTimeoutError

from orchestrator.errors import InvalidTask
from orchestrator.server import app
from orchestrator.server.events import Cut
from orchestrator.server.openapi import openapi
from orchestrator.server.routes import ROUTES
from orchestrator.server.tokens import Scope
from orchestrator.settings.settings import Settings
from orchestrator.task.request import parse_request
from orchestrator.task.schema import task_schema
from orchestrator.testing import MemoryServices
from tests.support.http_server import served, some_tokens


def test_the_document_has_every_route_and_the_schema_of_a_task_unchanged(http: httpx.Client) -> None:
    """And each reference in it names something."""
    document = http.get("/openapi.json").json()
    assert document["components"]["schemas"]["Task"] == json.loads(json.dumps(task_schema()))
    assert sum(len(methods) for methods in document["paths"].values()) == len(ROUTES)
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text or name == "Event"
    assert len({each["operationId"] for path in document["paths"].values() for each in path.values()}) == len(ROUTES)


def test_the_description_asks_for_nothing_else(http: httpx.Client) -> None:
    """It can be read without a network, and has every route."""
    answer = http.get("/docs")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not [word for word in ("src=", "http://", "https://", "<script") if word in answer.text]
    for route in ROUTES:
        assert f"{route.method} {route.path.replace(':path}', '}')}" in answer.text


@pytest.mark.parametrize(("path", "name"), [("/openapi.json", "openapi"), ("/docs", "docs_page")])
def test_what_is_the_same_for_all_is_made_once(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    """Everybody may ask, without a token."""
    make, made = getattr(app, name), []
    monkeypatch.setattr(app, name, lambda routes: made.append(routes) or make(routes))
    assert len({http.get(path).text for _ in range(3)}) == 1
    assert len(made) == 1


@pytest.mark.parametrize("error", [Cut(), SendTimeoutError()])
def test_an_answer_that_is_cut_is_no_fault(error: Exception) -> None:
    """Its viewer has stopped to read, or the server is to stop: no trace of it belongs into the log."""

    async def cut(*_: object) -> None:
        raise error

    async def unused(*_: object) -> Any:
        """Nothing is heard or told."""

    asyncio.run(app.Answers(cut)({}, unused, unused))


def test_without_a_page_the_description_is_named(
    services: MemoryServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sentence."""
    monkeypatch.setattr("orchestrator.server.page.FOLDER", tmp_path / "page")
    with served(services) as server, server.client() as http:
        answer = http.get("/")
        assert ("not built" in answer.text, "/docs" in answer.text) == (True, True)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert http.get("/index.js").status_code == 404


def test_the_files_of_the_page_are_served(services: MemoryServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a strict policy, and nothing from beside them."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>page")
    (folder / "assets" / "index.js").write_text("1")
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr("orchestrator.server.page.FOLDER", folder)
    with served(services) as server, server.client() as http:
        assert http.get("/").text == "<!doctype html>page"
        script = http.get("/assets/index.js")
        for answer in (http.get("/"), script):
            policy = answer.headers["Content-Security-Policy"]
            assert ("script-src 'self'" in policy, "unsafe" in policy) == (True, False)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "javascript" in script.headers["Content-Type"]
        assert http.options("/v1/tasks/a/retry").headers["Allow"] == "POST"
        for path in ("/../secret", "/%2e%2e/secret", "/assets/..%2f..%2fsecret", "/assets", "/nothing.js"):
            assert http.get(path).status_code == 404


def test_every_answer_says_that_it_is_what_it_is(http: httpx.Client) -> None:
    """Errors, too, also those of paths that there are not."""
    for path in ("/v1/tasks", "/v1/tasks?limit=x", "/nothing", "/v1/tasks/x"):
        headers = http.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


@frozen
class Asked:
    """A server with tasks, one that is to stop, whose streams end at once, and a token of both."""

    url: str
    stopping: str
    headers: Mapping[str, str]

    def url_for(self, path: str) -> str:
        """The stream of all events ends with the server only."""
        return self.stopping if path == STREAMS[0] else self.url


STREAMS = ("/v1/events", "/v1/tasks/{id}/events", "/v1/tasks/{id}/logs")
API = schemathesis.openapi.from_dict(json.loads(json.dumps(openapi(ROUTES))))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Servers with tokens; the worker of the first soon gives up what it cannot do."""
    services = MemoryServices(settings=Settings(retry_budget=0.1))
    tokens, texts = some_tokens(tmp_path_factory.mktemp("tokens"))
    with services.working(), served(services, tokens) as server, served(MemoryServices(), tokens) as stopping:
        services.client.submit({"image": "busybox", "artifacts": ["."]}, "abcd")
        stopping.backend.broadcast.stop()
        yield Asked(server.url, stopping.url, {"Authorization": f"Bearer {texts[Scope.ADMIN]}"})


def beyond_the_schema(case: Case) -> Sequence[CheckFunction]:
    """The checks that a case is not held to, because no schema can say what is wrong with it."""
    match case.operation.label:
        case "POST /v1/tasks:batch":
            return [negative_data_rejection]  # each task is answered for itself
        case "POST /v1/tasks" if is_refused(case.body):
            return [positive_data_acceptance]
        case "GET /v1/tasks/{id}/logs/{stream}" if excludes_itself(case.query or {}):
            return [positive_data_acceptance]
    return []


def is_refused(body: object) -> bool:
    """Whether the worker would refuse the task: ceilings and permissions are those of a deployment."""
    if not isinstance(body, Mapping):
        return False
    try:
        parse_request("any", {name: value for name, value in body.items() if name != "id"}, Settings().rules)
    except InvalidTask:
        return True
    return False


def excludes_itself(query: Mapping[str, object]) -> bool:
    """An attempt has no stream that could be followed, and a stored log has ranges in place of an offset."""
    follows = str(query.get("follow")).lower() in {"1", "true"}
    return bool(query.get("attempt" if follows else "offset"))


@API.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
    derandomize=True,
)
def test_it_does_what_its_document_promises(asked: Asked, case: Case) -> None:
    """Whatever is sent: no error of its own, no answer that is not described, no bad request that is taken."""
    url, excluded = asked.url_for(case.operation.path), [*beyond_the_schema(case)]
    case.call_and_validate(base_url=url, headers=asked.headers, excluded_checks=excluded)
