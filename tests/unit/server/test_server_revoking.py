"""The file of tokens changes while the server runs: tokens are added, and tokens that are gone open nothing any more."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from orchestrator.log import logger
from orchestrator.server import revoking
from orchestrator.server.tokens import Scope, Tokens, new_token
from orchestrator.testing import MemoryServices
from tests.support.http_server import Served, served, some_tokens
from tests.support.worker_process import until

SUBMITTED = {"image": "busybox", "command": ["stay"], "id": "t"}
STREAMS = ("/v1/events", "/v1/tasks/t/events", "/v1/tasks/t/logs?follow=1", "/v1/tasks/t/logs/stdout?follow=1")
Guarded = tuple[Served, Mapping[Scope, str]]


@pytest.fixture
def guarded(services: MemoryServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """A server with a token of each scope, which looks at the file often."""
    monkeypatch.setattr(revoking, "_LOOK", 0.05)
    tokens, texts = some_tokens(tmp_path)
    with served(services, tokens) as server:
        yield server, texts


def _without(file: Path, name: str) -> None:
    """As an editor does: a new file takes the place of the old one."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(
        "".join(line for line in file.read_bytes().decode().splitlines(keepends=True) if not line.startswith(name))
    )
    draft.replace(file)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", STREAMS)
def test_a_revoked_token_opens_nothing_and_its_streams_end(guarded: Guarded, tmp_path: Path, path: str) -> None:
    """Without a restart; the stream of another token goes on."""
    server, texts = guarded
    with ExitStack() as open_, server.client(headers=_bearer(texts[Scope.ADMIN])) as admin:
        admin.post("/v1/tasks", json=SUBMITTED)
        answers = {}
        for scope in (Scope.READ, Scope.SUBMIT):
            client = open_.enter_context(server.client(headers=_bearer(texts[scope])))
            answers[scope] = open_.enter_context(client.stream("GET", path))
            assert answers[scope].status_code == 200
        until(lambda: len(server.backend.tokens._answers) == 2)
        _without(tmp_path / "tokens", "read")
        with pytest.raises(httpx.RemoteProtocolError):
            list(answers[Scope.READ].iter_raw())
        assert httpx.get(f"{server.url}/v1/tasks", headers=_bearer(texts[Scope.READ])).status_code == 401
        assert httpx.get(f"{server.url}/v1/tasks", headers=_bearer(texts[Scope.SUBMIT])).status_code == 200
        until(lambda: [caller.name for caller, _ in server.backend.tokens._answers.values()] == ["submit"])


def test_a_request_that_was_let_in_before_is_not_answered(guarded: Guarded, tmp_path: Path) -> None:
    """It has waited for the end of a task, and its token went meanwhile."""
    server, texts = guarded
    tokens = server.backend.tokens
    with server.client(headers=_bearer(texts[Scope.SUBMIT])) as http:
        caller = tokens.caller(texts[Scope.SUBMIT])
        assert caller
        _without(tmp_path / "tokens", "submit")
        until(lambda: not tokens.admits(caller))
        tokens.caller = lambda _: caller  # type: ignore[method-assign]  # it was let in before the change
        assert http.get("/v1/tasks").status_code == 401


def test_a_session_ends_with_its_token(guarded: Guarded, tmp_path: Path) -> None:
    """The page's cookie is worth what its token is."""
    server, texts = guarded
    with server.client() as http:
        http.get("/", params={"token": texts[Scope.READ]})
        assert http.get("/v1/whoami").status_code == 200
        _without(tmp_path / "tokens", "read")
        until(lambda: http.get("/v1/whoami").status_code == 401)


def _looked(tokens: Tokens) -> None:
    """A change counts when two looks have found the same file."""
    tokens.look_again()
    tokens.look_again()


def test_a_file_counts_once_it_is_complete(tmp_path: Path) -> None:
    """One that is still being written was another at the look before."""
    tokens, texts = some_tokens(tmp_path)
    file = tmp_path / "tokens"
    before = file.read_text()
    file.write_text("")
    tokens.look_again()
    assert tokens.caller(texts[Scope.READ])
    added, line = new_token("added", Scope.READ)
    file.write_text(before + line)
    tokens.look_again()
    assert tokens.caller(added) is None
    tokens.look_again()
    assert tokens.caller(added)


@pytest.mark.parametrize("broken", ["gone", "junk", "open"])
def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, broken: str) -> None:
    """A mistake in it locks nobody out. Once it is mended it counts."""
    tokens, texts = some_tokens(tmp_path)
    file = tmp_path / "tokens"
    before = file.read_text()
    if broken == "gone":
        file.unlink()
    elif broken == "junk":
        file.write_text("read\n")
    else:
        file.chmod(0o622)
    _looked(tokens)
    assert all(tokens.caller(text) for text in texts.values())
    file.write_text("".join(before.splitlines(keepends=True)[1:]))
    os.chmod(file, 0o600)  # noqa: PTH101  it may be new
    _looked(tokens)
    assert [bool(tokens.caller(text)) for text in texts.values()] == [False, True, True]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_a_file_that_could_not_be_read_once_is_read_again(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It does not change a second time. Each change is told once."""
    server, texts = guarded
    read, told, refused = Path.read_text, list[str](), list[int]()

    def failing(self: Path, *args: str, **more: str) -> str:
        if self == tmp_path / "tokens" and len(refused) < 3:
            refused.append(number)
            raise OSError(number, os.strerror(number))
        return read(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", failing)
        patch.setattr(logger, "error", lambda *_: told.append("error"))
        _without(tmp_path / "tokens", "read")
        until(lambda: httpx.get(f"{server.url}/v1/tasks", headers=_bearer(texts[Scope.READ])).status_code == 401)
    assert len(refused) == 3
    assert told == ["error"]


def test_a_file_counts_that_looks_as_old_as_before(tmp_path: Path) -> None:
    """It was written over, with as many bytes and the time of the old one, as a copy that keeps times is."""
    tokens, texts = some_tokens(tmp_path)
    file = tmp_path / "tokens"
    was = file.stat()
    _looked(tokens)
    file.write_text(
        "".join(f"#{line[1:]}" if line.startswith("read ") else line for line in file.read_text().splitlines(keepends=True))
    )
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    _looked(tokens)
    assert [bool(tokens.caller(text)) for text in texts.values()] == [False, True, True]


def test_a_file_without_tokens_lets_nobody_in(tmp_path: Path) -> None:
    """It does not open the server to all, as one that was started without tokens is."""
    tokens, texts = some_tokens(tmp_path)
    (tmp_path / "tokens").write_text("# none\n")
    _looked(tokens)
    assert tokens.are_needed
    assert not any(tokens.caller(text) for text in texts.values())


def test_a_caller_is_known_by_token_and_scope(tmp_path: Path) -> None:
    """A new token with the name of the old one, or the same one with another scope, is another caller."""
    tokens, texts = some_tokens(tmp_path)
    file, caller = tmp_path / "tokens", tokens.caller(texts[Scope.ADMIN])
    assert caller
    assert tokens.admits(caller)
    before = file.read_text()
    for after in (before.replace("admin admin", "admin read"), before.replace("admin admin ", "admin admin 0")[:-2] + "\n"):
        file.write_text(after)
        _looked(tokens)
        assert not tokens.admits(caller)
        file.write_text(before)
        _looked(tokens)
        assert tokens.admits(caller)
