"""A browser on the page of a server in memory. Each test also proves that no other host was asked and no error told."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from orchestrator.server.page import FOLDER
from scripts.browser import FLAGS, browser
from tests.support import pace
from tests.support.page_site import Site, page_site
from tests.support.page_visitor import Visitor


def _absent(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all tests of a module: its loop must not be there while tests of other modules have loops of their own."""
    path = browser()
    if path is None:
        _absent("no browser is installed; `python -m scripts.browser` as root installs Debian's")
    if not (FOLDER / "index.html").is_file():
        _absent("the page is not built; run `make page`")
    expect.set_options(timeout=pace.seconds(10) * 1000)
    with sync_playwright() as playwright:
        yield from _launched(playwright, path)


def _launched(playwright: Playwright, path: str | None) -> Iterator[Browser]:
    started = playwright.chromium.launch(executable_path=path, args=[*FLAGS], timeout=pace.seconds(30) * 1000)
    yield started
    started.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A server without tokens, without tasks."""
    with page_site() as site:
        yield site


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Visitor]:
    """Opens the page."""
    visitor = Visitor(chromium, site)
    yield visitor
    visitor.close()
    visitor.check()
