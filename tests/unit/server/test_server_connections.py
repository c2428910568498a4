"""What a client may take, and what becomes of a request when something fails."""

import json
import socket
from contextlib import ExitStack, closing

import httpx
import pytest
from attrs import evolve

from orchestrator.errors import InfrastructureError
from orchestrator.server import connections
from orchestrator.settings.settings import Settings
from orchestrator.task.values import Document
from orchestrator.testing import MemoryServices, Program
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support.http_server import Served, served
from tests.support.worker_process import until

SPEAK = {"image": "busybox", "command": ["speak"]}
LARGE = 32 << 20


def _set(services: MemoryServices, **settings: object) -> MemoryServices:
    object.__setattr__(services, "settings", evolve(services.settings, **settings))
    return services


def test_a_body_that_is_too_large_is_refused() -> None:
    """By the length that is told, or once so much has come."""
    with served(_set(MemoryServices(), api_body_max=1000)) as server, server.client() as http:
        for content in (b"x" * 1001, iter([b"x" * 600] * 2)):
            answer = http.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"})
            assert (answer.status_code, "API_BODY_MAX" in answer.json()["detail"]) == (413, True)
        assert http.post("/v1/tasks", json={**SPEAK, "env": {"A": "x" * 800}}).status_code == 201


def test_a_request_has_to_come_in_time(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its headers and its body: one that sends a byte now and then has no longer."""
    monkeypatch.setattr(connections, "_HEAD", 0.2)
    monkeypatch.setattr(connections, "_BODY", 0.2)
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with served(services) as server:
        for sent in (b"", head[:20], head):
            with closing(server.connect()) as slow:
                slow.sendall(sent)
                assert _rest(slow) == b""


def _rest(connection: socket.socket) -> bytes:
    """What comes until it is cut."""
    try:
        return b"".join(iter(lambda: connection.recv(4096), b""))
    except ConnectionResetError:
        return b""


def test_an_answer_may_take_longer(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of a request alone."""
    monkeypatch.setattr(connections, "_HEAD", 0.2)
    monkeypatch.setattr(connections, "_BODY", 0.1)
    with served(services) as server, server.client() as http:
        assert http.post("/v1/tasks?wait=1s", json=SPEAK).status_code == 201


def test_nobody_waits_for_a_client_that_has_gone(server: Served) -> None:
    """Its request would count against those of others for as long as it asked to wait."""
    body = json.dumps(SPEAK)
    head = (
        f"POST /v1/tasks?wait=5m HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    with closing(server.connect()) as hasty:
        hasty.sendall(f"{head}\r\n\r\n{body}".encode())
        until(lambda: server.backend.broadcast.viewers == 1)
    until(lambda: not server.server.server_state.tasks)
    assert server.backend.broadcast.viewers == 0


def test_one_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is left to send."""
    monkeypatch.setattr(connections, "_UNREAD", 500)
    services = MemoryServices({("speak",): Program(stdout=b"x" * LARGE)}, Settings())
    limit = {"limits": {"output": LARGE}}
    with served(services) as server, closing(server.connect()) as idle:
        services.client.submit({**SPEAK, **limit}, "t1")
        (task,) = services.run_queued()
        assert task.logs.stdout.bytes == LARGE
        idle.sendall(b"GET /v1/tasks/t1/logs/stdout HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        until(lambda: server.connections == 0)


def test_connections_are_bounded() -> None:
    """One more is told so, and those that are there go on."""
    with served(_set(MemoryServices(), api_connections=2)) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(3)]
        assert [http.get("/healthz").status_code for http in clients] == [200, 200, 503]
        assert clients[0].get("/healthz").status_code == 200


def test_those_that_ask_for_nothing_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One above what is told is cut at once; its place is free when another one goes."""
    monkeypatch.setattr(connections, "_TOLD", 1)
    with served(_set(MemoryServices(), api_connections=2)) as server, ExitStack() as stack:
        idle = [stack.enter_context(closing(server.connect())) for _ in range(3)]
        until(lambda: server.connections == 3)
        with closing(server.connect()) as further:
            assert _rest(further) == b""
        assert server.connections == 3
        idle[0].close()
        until(lambda: server.connections == 2)


def test_one_that_asks_for_nothing_has_less_time(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Than one that is sending a body."""
    monkeypatch.setattr(connections, "_HEAD", 0.2)
    monkeypatch.setattr(connections, "_BODY", 3600.0)
    with served(services) as server, closing(server.connect()) as idle:
        assert _rest(idle) == b""


class _Away(MemoryTaskStore):
    """A store that is away, or has a fault of its own."""

    fault: Exception | None = None

    def find(self, task_id: str) -> Document | None:
        if self.fault:
            raise self.fault
        return super().find(task_id)


def test_a_server_that_is_away_is_told(server: Served, http: httpx.Client) -> None:
    """Without the words of its library, which name hosts; a fault of the code says less."""
    store = _Away()
    server.services.store = store
    store.fault = InfrastructureError("mongodb", "db.internal:27017: connection refused")
    away = http.get("/v1/tasks/t1")
    assert (away.status_code, away.json()["detail"]) == (503, "mongodb does not answer now; try again")
    assert int(away.headers["Retry-After"]) > 0
    store.fault = RuntimeError("secret")
    broken = http.get("/v1/tasks/t1")
    assert (broken.status_code, "secret" in broken.text, broken.json()["status"]) == (500, False, 500)
    assert (broken.headers["X-Content-Type-Options"], broken.headers["Cache-Control"]) == ("nosniff", "no-store")


def test_it_says_whether_it_can_do_its_work(server: Served, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it cannot reach."""
    monkeypatch.setattr("orchestrator.server.shared._FRESH", -1.0)
    until(lambda: server.backend.broadcast.listens)
    assert (http.get("/readyz").status_code, http.get("/healthz").json()) == (200, {"alive": True})

    def away() -> None:
        raise InfrastructureError("mongodb", "away")

    monkeypatch.setattr(server.services.store, "now", away)
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"mongodb": False, "events": True})


def test_those_who_ask_whether_it_is_ready_share_an_answer(
    server: Served, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may ask, without a token: the database is asked for all of them once."""
    monkeypatch.setattr("orchestrator.server.shared._FRESH", 3600.0)
    asked: list[int] = []
    monkeypatch.setattr(server.services.store, "now", lambda: asked.append(1))
    assert {http.get("/readyz").json()["mongodb"] for _ in range(5)} == {True}
    assert asked == [1]
