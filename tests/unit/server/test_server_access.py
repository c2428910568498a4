"""Who is let in: tokens and their scopes, the cookie of the page, names of this host, pages of other sites."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from attrs import evolve

from orchestrator.errors import SettingsError
from orchestrator.server.routes import ROUTES
from orchestrator.server.tokens import Caller, Scope, Tokens, new_token, session_key
from orchestrator.settings.settings import Settings
from orchestrator.testing import MemoryServices
from tests.support.http_server import Served, served, some_tokens

SPEAK = {"image": "busybox", "command": ["speak"]}
Guarded = tuple[Served, Mapping[Scope, str]]


@pytest.fixture
def guarded(services: MemoryServices, tmp_path: Path) -> Iterator[Guarded]:
    """A server with a token of each scope."""
    tokens, texts = some_tokens(tmp_path)
    with served(services, tokens) as server:
        yield server, texts


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("scope", [None, *Scope])
def test_every_route_needs_its_scope(guarded: Guarded, scope: Scope | None) -> None:
    """One that is too low is told which is needed; what is open is open to all."""
    server, texts = guarded
    with server.client(headers=_bearer(texts[scope]) if scope else {}) as http:
        for route in ROUTES:
            if route.path == "/v1/events" and scope is not None:
                continue  # it would not end
            path = route.path.replace("{id}", "nobody").replace("{stream}", "stdout").replace("{path:path}", "a")
            status = http.request(route.method, path).status_code
            if route.scope is None:
                assert status == 200, path
            elif scope is None:
                assert status == 401, path
            elif scope.allows(route.scope):
                assert status in {200, 400, 404, 415}, path
            else:
                assert status == 403, path


def test_who_one_is_is_told(guarded: Guarded) -> None:
    """The page shows no buttons to one who only reads."""
    server, texts = guarded
    with server.client() as http:
        told = {scope: http.get("/v1/whoami", headers=_bearer(token)).json() for scope, token in texts.items()}
        assert {scope: each["read_only"] for scope, each in told.items()} == {"read": True, "submit": False, "admin": False}
        assert told[Scope.READ]["name"] == "read"
        refused = http.get("/v1/whoami")
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic {}", "{}", "Bearer", "Bearer {}x", "bearer \udcff"])
def test_a_token_that_is_not_valid_opens_nothing(guarded: Guarded, header: str) -> None:
    """Nor one in another form."""
    server, texts = guarded
    given = header.format(texts[Scope.ADMIN]).encode("utf-8", "surrogateescape")
    with server.client() as http:
        assert http.get("/v1/tasks", headers=[(b"Authorization", given)]).status_code == 401


def test_the_address_with_a_token_becomes_a_cookie(guarded: Guarded) -> None:
    """Which no script reads and no other site sends; a token that is not valid becomes none."""
    server, texts = guarded
    with server.client() as http:
        answer = http.get("/", params={"token": texts[Scope.SUBMIT]})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*answer.headers["Set-Cookie"].split("; ")}
        assert http.get("/v1/whoami").json()["scope"] == "submit"
        assert http.get("/v1/whoami", headers=_bearer("wrong")).status_code == 401
    with server.client() as http:
        refused = http.get("/", params={"token": "wrong"})
        assert (refused.status_code, "Set-Cookie" in refused.headers) == (401, False)


def test_the_cookie_has_no_token(guarded: Guarded) -> None:
    """Each port has its own, for a browser sends those of a host to all of its ports; over TLS it is sent over TLS alone."""
    server, texts = guarded
    with server.client() as http:
        cookies = {}
        for proto in ("http", "https", "HTTPS, http"):
            answer = http.get("/", params={"token": texts[Scope.ADMIN]}, headers={"X-Forwarded-Proto": proto})
            cookies[proto] = answer.headers["Set-Cookie"]
        assert ["Secure" in each for each in cookies.values()] == [False, True, True]
        name, _, value = cookies["http"].partition(";")[0].partition("=")
        assert name == f"orchestrator_session_{server.url.rpartition(':')[2]}"
        assert texts[Scope.ADMIN] not in value
        usual = http.get("/", params={"token": texts[Scope.ADMIN]}, headers={"Host": "localhost"})
        assert usual.headers["Set-Cookie"].startswith("orchestrator_session=")
    with server.client(headers=_bearer(value)) as thief:
        assert thief.get("/v1/whoami").status_code == 401


def test_a_cookie_outlives_the_server(tmp_path: Path) -> None:
    """Until its token is removed, or the passwords of the deployment change: the hashes alone make none."""
    settings = Settings(mongo_uri="mongodb://user:secret@db")
    token, line = new_token("ci", Scope.SUBMIT)
    file, key = _file(tmp_path, line), session_key(settings)
    session = Tokens.load(file, key).session(token)
    assert session is not None
    assert Tokens.load(file, key).caller_of(session) == Caller("ci", Scope.SUBMIT, by_cookie=True)
    assert Tokens.load(file, session_key(evolve(settings, mongo_uri="mongodb://user:other@db"))).caller_of(session) is None
    assert Tokens.load(file).caller_of(session) is None
    assert Tokens.load(_file(tmp_path, new_token("ci", Scope.SUBMIT)[1]), key).caller_of(session) is None


def test_a_page_of_another_site_writes_nothing(guarded: Guarded) -> None:
    """With the cookie that its reader has; a write by cookie has to say where it comes from."""
    server, texts = guarded
    with server.client() as http:
        http.get("/", params={"token": texts[Scope.ADMIN]})
        for origin in (None, "http://evil.example", "null", f"{server.url}0", server.url.replace("http:", "ftp:") + "@evil"):
            refused = http.post("/v1/tasks", json=SPEAK, headers={"Origin": origin} if origin else {})
            assert (refused.status_code, "Origin" in refused.json()["detail"]) == (403, True), origin
            assert http.delete("/v1/tasks/a", headers={"Origin": origin} if origin else {}).status_code == 403
        assert http.post("/v1/tasks", json=SPEAK, headers={"Origin": server.url}).status_code == 201
    with server.client(headers=_bearer(texts[Scope.SUBMIT])) as http:
        assert http.post("/v1/tasks", json=SPEAK).status_code == 201
        assert http.post("/v1/tasks", json=SPEAK, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "[", "a@b"]
)
def test_a_name_that_was_bound_to_this_host_is_refused(http: httpx.Client, host: str) -> None:
    """Without tokens, where a page could have its own name resolve to loopback and ask for all."""
    for path in ("/v1/tasks", "/v1/whoami", "/healthz", "/"):
        refused = http.get(path, headers={"Host": host})
        assert refused.status_code == 421
        assert "Host:" in refused.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST", "127.0.0.1:80", "127.1.2.3", "[::1]:8080"])
def test_names_of_loopback_are_this_host(http: httpx.Client, host: str) -> None:
    """With any port, for it may be forwarded."""
    assert http.get("/v1/tasks", headers={"Host": host}).status_code == 200
    forged = http.post("/v1/tasks", json=SPEAK, headers={"Host": host, "Origin": "http://evil.example"})
    assert forged.status_code == 403


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "x-forwarded-any", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_needs_a_token(http: httpx.Client, guarded: Guarded, name: str) -> None:
    """It comes from loopback, however far away its sender is."""
    for path in ("/v1/tasks", "/healthz", "/"):
        refused = http.get(path, headers={name: "10.0.0.1"})
        assert (refused.status_code, name.lower() in refused.json()["detail"].lower()) == (421, True)
    server, texts = guarded
    with server.client(headers={**_bearer(texts[Scope.READ]), name: "10.0.0.1"}) as proxied:
        assert proxied.get("/v1/tasks").status_code == 200


def test_without_tokens_all_may_be_done_here(http: httpx.Client) -> None:
    """And a token in the address is dropped."""
    assert http.get("/v1/whoami").json()["scope"] == "admin"
    answer = http.get("/?token=any")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (303, False)


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "tokens"
    file.write_text(text)
    file.chmod(mode)
    return file


HASH = "0" * 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no token"),
        ("# nothing\n\n", "has no token"),
        ("a read\n", "line 1: it is not a line"),
        (f"# one\na owner {HASH}\n", "line 2: it is not a line"),
        ("a read orc_secret\n", "line 1: it is not a line"),
        (f"a read {HASH}\na admin {HASH}\n", "line 2: the name a is given twice"),
        (f"-a read {HASH}\n", "line 1: it is not a line"),
    ],
)
def test_a_file_of_tokens_that_is_wrong_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The line is named, and not what is in it: it may be a token."""
    with pytest.raises(SettingsError, match=words) as raised:
        Tokens.load(_file(tmp_path, text))
    assert "orc_secret" not in str(raised.value)


def test_a_file_of_tokens_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """As one that is not there, or is no text."""
    with pytest.raises(SettingsError, match="may be written by other users"):
        Tokens.load(_file(tmp_path, f"a read {HASH}\n", 0o622))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Tokens.load(tmp_path / "nothing")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        Tokens.load(tmp_path / "bytes")


def test_a_new_token_is_known_by_its_line(tmp_path: Path) -> None:
    """The line does not have it."""
    token, line = new_token("ci", Scope.SUBMIT)
    assert token not in line
    caller = Tokens.load(_file(tmp_path, f"# of the team\n\n{line}\n")).caller(token)
    assert caller is not None
    assert (caller.name, caller.scope) == ("ci", Scope.SUBMIT)
    with pytest.raises(ValueError, match="is not a name"):
        new_token("a b", Scope.READ)
