"""What `serve` says when it starts."""

import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path

import pytest
from loguru import logger

from orchestrator.server import serving
from orchestrator.settings.settings import Settings


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    lines: list[str] = []
    listening = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(listening)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It listens, and then ends in place of an answer."""

    def end(running: Coroutine[object, object, None]) -> None:
        running.close()

    monkeypatch.setattr(serving.asyncio, "run", end)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(serving, "_socket", lambda *_: listening)
        yield


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("is_built", [True, False])
def test_an_installation_without_the_page_is_said(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_built: bool
) -> None:
    """An image or a wheel that was made on a clean checkout has none."""
    monkeypatch.setattr("orchestrator.server.page.FOLDER", tmp_path)
    if is_built:
        (tmp_path / "index.html").touch()
    serving.serve(Settings())
    assert lines[0].startswith("the HTTP API is at http://127.0.0.1:")
    assert ["no web page" in line for line in lines[1:]] == ([] if is_built else [True])
