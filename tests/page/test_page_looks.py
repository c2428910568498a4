"""The page as a whole in a browser: who may do what, colours, sizes, and whether everybody can use it."""

import gzip
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, expect

from orchestrator.server.page import FOLDER
from orchestrator.server.tokens import Scope
from scripts.page import MODULES, ROOT
from tests.support import page_demo
from tests.support.http_server import some_tokens
from tests.support.page_site import Site, page_site
from tests.support.page_tasks import succeeded
from tests.support.page_visitor import Visitor

MOST = 200_000
"""Bytes of the page, compressed."""
VIEWS = {
    "tasks": "#/tasks",
    "a filter that finds nothing": "#/tasks?status=failed&image=nobody",
    "a task that failed": f"#/tasks/{page_demo.LEAK}",
    "a task that runs": f"#/tasks/{page_demo.TRAIN}",
    "a task of several attempts": f"#/tasks/{page_demo.FLAKY}",
    "submit": "#/submit",
    "workers": "#/workers",
    "overview": "#/overview",
}
READY = {
    "tasks": "tbody tr",
    "a filter that finds nothing": ".empty",
    "submit": "form.submit",
    "workers": ".worker",
    "overview": ".tile",
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def full(site: Site) -> Site:
    """A site with something of everything."""
    page_demo.fill(site)
    return site


@pytest.fixture
def guarded(chromium: Browser, tmp_path: Path) -> Iterator[tuple[Site, dict[Scope, str], Visitor]]:
    """A site that needs tokens, one of each scope, and a visitor of it."""
    tokens, secrets = some_tokens(tmp_path)
    with page_site(tokens) as site:
        visitor = Visitor(chromium, site)
        yield site, dict(secrets), visitor
        visitor.close()
        visitor.check()


def test_the_page_is_small() -> None:
    """All files together, as they go over the wire."""
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in FOLDER.rglob("*") if path.is_file()}
    assert {"index.html", "theme.js"} <= set(sizes)
    assert sum(sizes.values()) <= MOST


def test_one_who_may_only_read_sees_no_buttons(guarded: tuple[Site, dict[Scope, str], Visitor]) -> None:
    """With a token that may only read nothing can be handed in, cancelled or deleted; with another it can."""
    site, secrets, visit = guarded
    site.plant(succeeded("t1", {"image": "busybox"}))
    page = visit(f"?token={secrets[Scope.READ]}")
    page.locator("tbody .id a").click()
    expect(page.locator(".verdict")).to_be_visible()
    assert not page.get_by_role("button", name="Run again").or_(page.get_by_text("Submit", exact=True)).count()
    page.goto(f"{site.url}#/submit")
    expect(page.get_by_text("You may only read")).to_be_visible()
    page = visit(f"?token={secrets[Scope.SUBMIT]}")
    page.locator("tbody .id a").click()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    page = visit(f"?token={secrets[Scope.ADMIN]}")
    page.locator("tbody .id a").click()
    expect(page.get_by_role("button", name="Delete")).to_be_visible()


def test_one_without_a_token_is_asked_for_it(guarded: tuple[Site, dict[Scope, str], Visitor]) -> None:
    """And is let in with it; it does not stay in the address. The browser tells of the 401 itself."""
    site, secrets, visit = guarded
    site.plant(succeeded("t1", {"image": "busybox"}))
    page = visit()
    page.get_by_label("Token").fill(secrets[Scope.READ])
    page.get_by_role("button", name="Open").click()
    expect(page.locator("tbody .id")).to_have_text("t1")
    assert "token" not in page.url
    assert all("401" in said for said in visit.wrong)
    visit.wrong.clear()


def test_colours_follow_the_system_until_somebody_chooses(full: Site, visit: Visitor) -> None:
    """The choice outlasts a reload."""
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = (visit(color_scheme=scheme) for scheme in ("light", "dark"))
    bright, dim = light.evaluate(ground), dark.evaluate(ground)
    assert bright != dim
    light.get_by_role("button", name="Colours").click()
    light.get_by_role("button", name="Colours").click()
    assert light.evaluate(ground) == dim
    light.reload()
    assert light.evaluate(ground) == dim
    assert full.requested


@pytest.mark.parametrize("view", VIEWS)
def test_everything_fits_a_phone(full: Site, visit: Visitor, view: str) -> None:
    """Nothing sticks out to the side; what is wide scrolls within itself."""
    assert full
    page = visit(VIEWS[view], viewport=PHONE)
    expect(page.locator(READY.get(view, ".verdict")).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("view", VIEWS)
def test_everybody_can_use_it(full: Site, visit: Visitor, view: str) -> None:
    """axe-core finds no violation, in light and in dark."""
    assert full
    page = visit(VIEWS[view], reduced_motion="reduce")
    expect(page.locator(READY.get(view, ".verdict")).first).to_be_visible()
    page.evaluate((MODULES / "axe-core" / "axe.min.js").read_text())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        told = [(each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found]
        assert (scheme, told) == (scheme, [])


def test_files_that_never_change_are_asked_for_once(site: Site) -> None:
    """The page itself is asked for each time, so that a new version is seen at once."""
    answer = httpx.get(site.url)
    scripts = re.findall(r'"\./(assets/[^"]+)"', answer.text)
    assert scripts
    assert answer.headers["Cache-Control"] == "no-cache"
    for path in scripts:
        assert httpx.get(f"{site.url}{path}").headers["Cache-Control"] == "max-age=31536000, immutable"


def test_figures_of_a_shorter_time_say_so(full: Site, visit: Visitor) -> None:
    """And a number of tasks that is not all of them has a plus."""
    full.answers["/v1/stats"] = {**page_demo.stats(datetime.now(UTC)), "window": 600.0, "tasks_more": ["succeeded"]}
    page = visit("#/overview")
    expect(page.get_by_text("Tasks over the last 10 min")).to_be_visible()
    expect(page.get_by_text("8,412+")).to_be_visible()


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    """Git ignores its files, and the wheel does not."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    built = {path.relative_to(ROOT).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert "orchestrator/server/page/index.html" in built
    assert built <= set(names)
