"""The list of tasks in a browser."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from orchestrator.cause import Cause
from statemachine import State
from tests.support.page_site import Site
from tests.support.page_tasks import Story, failed, succeeded
from tests.support.page_visitor import Visitor

NOW = datetime.now(UTC)
BUSYBOX = {"image": "busybox", "command": ["echo", "hello"], "labels": {"team": "red"}}
PYTHON = {"image": "python:3.12", "command": ["python", "-c", "print('a b')"], "labels": {"team": "blue"}}


def _three(site: Site) -> None:
    site.plant(succeeded("good-1", BUSYBOX, created_at=NOW - timedelta(minutes=2)))
    site.plant(failed("bad-1", PYTHON, Cause.EXIT, "the program exited with 3", created_at=NOW - timedelta(minutes=1)))
    site.plant(Story("new-1", BUSYBOX, created_at=NOW))


def _ids(page: Page) -> list[str]:
    return page.locator("tbody td.id").all_inner_texts()


def test_tasks_are_listed_newest_first_with_what_became_of_them(site: Site, visit: Visitor) -> None:
    """Status, cause, image, command, labels, and the sentence of one that failed."""
    _three(site)
    page = visit()
    expect(page.locator("tbody tr")).to_have_count(3)
    assert _ids(page) == ["new-1", "bad-1", "good-1"]
    row = page.locator("tbody tr").nth(1)
    for text in (
        "failed",
        "exit",
        "python:3.12",
        """python -c 'print('\\''a b'\\'')'""",
        "team=blue",
        "the program exited with 3",
    ):
        expect(row).to_contain_text(text)
    expect(page).to_have_title("Tasks · orchestrator")


def test_each_filter_narrows_the_list_and_stays_in_the_address(site: Site, visit: Visitor) -> None:
    """One after the other, then all are cleared; a click on a label filters by it."""
    _three(site)
    site.plant(succeeded("old-1", BUSYBOX, created_at=NOW - timedelta(days=3)))
    page = visit()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_label("Status").select_option("failed")
    expect(page.locator("tbody td.id")).to_have_text(["bad-1"])
    page.get_by_label("Cause").select_option("oom")
    expect(page.get_by_text("No task is like that")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Cause")).to_have_value("oom")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_role("textbox", name="Image").fill("python:3.12")
    page.get_by_role("textbox", name="Image").press("Enter")
    expect(page.locator("tbody td.id")).to_have_text(["bad-1"])
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Within").select_option("3600")
    expect(page.locator("tbody td.id")).to_have_text(["new-1", "bad-1", "good-1"])
    page.locator("a.label", has_text="team=red").first.click()
    expect(page.locator("tbody td.id")).to_have_text(["new-1", "good-1", "old-1"])


def test_pages_lead_to_the_oldest_task_and_back(site: Site, visit: Visitor) -> None:
    """Fifty at a time; each task once."""
    for number in range(120):
        site.plant(succeeded(f"t-{number:03}", BUSYBOX, created_at=NOW - timedelta(seconds=number)))
    page = visit()
    seen: list[str] = []
    for size in (50, 50, 20):
        expect(page.locator("tbody tr")).to_have_count(size)
        expect(page.locator("tbody td.id").first).to_have_text(f"t-{len(seen):03}")
        seen += _ids(page)
        if len(seen) < 120:
            page.get_by_role("link", name="Older").click()
    assert seen == [f"t-{number:03}" for number in range(120)]
    expect(page.get_by_text("These are the oldest.")).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("tbody td.id").first).to_have_text("t-050")
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("tbody td.id").first).to_have_text("t-000")


def test_the_list_is_live(site: Site, visit: Visitor) -> None:
    """A task that is handed in appears, and its row follows it to the end."""
    page = visit()
    expect(page.get_by_text("There are no tasks yet")).to_be_visible()
    site.services.client.submit(BUSYBOX, "live-1")
    row = page.locator("tbody tr")
    expect(row).to_contain_text("queued")
    story = Story("live-1", BUSYBOX, (State.RUNNING,), (0.1,), NOW)
    site.become(story)
    expect(row).to_contain_text("running")
    site.become(failed("live-1", BUSYBOX, Cause.OOM, "it reached its memory limit", created_at=NOW))
    expect(row).to_contain_text("it reached its memory limit")


def test_a_task_is_found_by_the_beginning_of_its_id(site: Site, visit: Visitor) -> None:
    """With the keyboard alone."""
    _three(site)
    page = visit()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("bad")
    expect(page.get_by_text("Type 4 characters")).to_be_visible()
    page.keyboard.type("-")
    expect(page.locator("#ids [role=option]")).to_have_text(["bad-1"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("The program exited with 3.")).to_be_visible()
    page.get_by_role("combobox", name="Find a task").fill("zzzz")
    expect(page.get_by_text("No id begins with that.")).to_be_visible()


def test_keys_walk_through_the_list(site: Site, visit: Visitor) -> None:
    """By j and k, Enter opens, Escape goes back, ? tells them all."""
    _three(site)
    page = visit()
    expect(page.locator("tbody tr")).to_have_count(3)
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator("tr[aria-current]")).to_contain_text("new-1")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("bad-1")
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
