"""The form for a new task in a browser."""

from playwright.sync_api import expect

from tests.support.page_site import Site
from tests.support.page_tasks import succeeded
from tests.support.page_visitor import Visitor


def test_a_task_is_submitted_with_all_that_was_written(site: Site, visit: Visitor) -> None:
    """As JSON would have it, and then its page is shown."""
    page = visit("#/submit")
    page.get_by_label("Image", exact=True).fill("busybox")
    page.get_by_role("button", name="words").click()
    page.get_by_label("Command", exact=True).fill("echo\nhello world")
    page.get_by_label("Variables").fill("NAME=Ada\nEMPTY=")
    page.get_by_label("Labels").fill("team=red")
    page.get_by_label("memory", exact=True).fill("64m")
    page.get_by_label("cpus", exact=True).fill("0.5")
    page.get_by_label("retries", exact=True).fill("2")
    page.get_by_role("button", name="Add a file").click()
    page.get_by_label("Path").fill("main.py")
    page.get_by_label("Content").fill("print(1)\n")
    page.get_by_text("More: input").click()
    page.get_by_label("Keep for").fill("30d")
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator(".verdict .status")).to_have_text("queued")
    assert dict(site.services.client.list()[0].request) | {"files": None} == {
        "image": "busybox",
        "command": ["echo", "hello world"],
        "env": {"NAME": "Ada", "EMPTY": ""},
        "labels": {"team": "red"},
        "limits": {"memory": "64m", "cpus": 0.5},
        "retries": 2,
        "keep": "30d",
        "files": None,
    }


def test_the_published_schema_is_checked_while_it_is_written(site: Site, visit: Visitor) -> None:
    """Beside the field, in the words of the schema; nothing is sent."""
    page = visit("#/submit")
    page.get_by_label("Image", exact=True).fill("Not An Image")
    expect(page.get_by_text("must be an image reference such as python:3.12-slim")).to_be_visible()
    page.get_by_label("memory", exact=True).fill("plenty")
    expect(page.get_by_text("must be a size of 6291456 bytes or more")).to_be_visible()
    page.get_by_role("button", name="Submit task").click()
    expect(page.get_by_text("2 fields have to be mended.")).to_be_visible()
    expect(page.get_by_label("Image", exact=True)).to_be_focused()
    assert site.services.client.list() == []


def test_what_the_server_refuses_is_told_beside_its_field(visit: Visitor) -> None:
    """The schema knows no ceilings; the sentence is the server's own. The browser tells of the 422 itself."""
    page = visit("#/submit")
    page.get_by_label("Image", exact=True).fill("busybox")
    page.get_by_label("memory", exact=True).fill("900g")
    page.get_by_role("button", name="Submit task").click()
    expect(page.get_by_text("900 GiB is above the ceiling of 4 GiB")).to_be_visible()
    page.get_by_label("memory", exact=True).fill("64m")
    expect(page.get_by_text("above the ceiling")).to_have_count(0)
    assert all("422" in said for said in visit.wrong)
    visit.wrong.clear()


def test_an_old_task_is_edited_and_submitted(site: Site, visit: Visitor) -> None:
    """What no field shows is kept, such as files that are not text."""
    request = {
        "image": "busybox",
        "command": ["cat", "a b"],
        "files": {"blob": {"base64": "AAE="}, "note": "hello"},
        "limits": {"timeout": "5s"},
    }
    site.plant(succeeded("t1", request))
    page = visit("#/submit?from=t1")
    expect(page.get_by_label("Command", exact=True)).to_have_value("cat\na b")
    expect(page.get_by_text("because they are not text: blob")).to_be_visible()
    page.get_by_label("timeout", exact=True).fill("9s")
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator(".verdict .status")).to_have_text("queued")
    new = next(task for task in site.services.client.list() if task.id != "t1")
    stored = site.services.client.get(new.id).request
    assert dict(stored) == {**request, "limits": {"timeout": "9s"}}
