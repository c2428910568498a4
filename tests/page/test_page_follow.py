"""What a task prints while it runs, in a browser: followed, across a restart of the server, and to its end."""

from http import HTTPStatus

from playwright.sync_api import Locator, Page, expect

from orchestrator.ports import Stream
from orchestrator.ports.live_output import Point
from orchestrator.server.problems import Problem
from statemachine import State
from tests.support.page_site import Site
from tests.support.page_tasks import Story, succeeded
from tests.support.page_visitor import Visitor

REQUEST = {"image": "busybox", "command": ["count"]}


def _running(site: Site, task_id: str = "t1") -> None:
    site.services.client.submit(REQUEST, task_id)
    site.become(Story(task_id, REQUEST, (State.RUNNING,), (0.1,)))


def _lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last + 1))


def _out(page: Page) -> Locator:
    return page.get_by_role("region", name="stdout", exact=True)


def _scrolled_up(page: Page) -> bool:
    return bool(page.evaluate("(e => e.scrollTop + e.clientHeight < e.scrollHeight - 40)(document.querySelector('.rows'))"))


def test_output_is_followed_to_the_end_of_the_task(site: Site, visit: Visitor) -> None:
    """Both streams, as they come; then the verdict stands there without a reload."""
    _running(site)
    page = visit("#/tasks/t1")
    expect(page.get_by_text("It has printed nothing so far.")).to_be_visible()
    site.say("t1", _lines(1, 3))
    site.say("t1", b"careful\n", Stream.STDERR)
    expect(_out(page).locator(".text")).to_have_text(["line 1", "line 2", "line 3"])
    expect(page.get_by_role("region", name="stderr", exact=True)).to_contain_text("careful")
    site.say("t1", _lines(4, 4))
    site.become(succeeded("t1", REQUEST, stdout=_lines(1, 5), stderr=b"careful\n"))
    expect(page.locator(".verdict .status")).to_have_text("succeeded")
    expect(_out(page).locator(".text")).to_have_text([f"line {number}" for number in range(1, 6)])
    expect(_out(page).get_by_role("link", name="Download")).to_be_visible()


def test_following_stays_at_the_end_until_the_viewer_scrolls_up(site: Site, visit: Visitor) -> None:
    """Then nothing moves under the eyes, until following is wanted again."""
    _running(site)
    site.say("t1", _lines(1, 200))
    page = visit("#/tasks/t1")
    follow = _out(page).get_by_label("Follow")
    expect(_out(page)).to_contain_text("line 200")
    site.say("t1", _lines(201, 400))
    expect(_out(page)).to_contain_text("line 400")
    page.locator(".rows").hover()
    page.mouse.wheel(0, -1500)
    expect(follow).not_to_be_checked()
    expect(_out(page)).not_to_contain_text("line 400")
    site.say("t1", _lines(401, 600))
    expect(_out(page)).to_contain_text("600 lines")
    assert _scrolled_up(page)
    page.keyboard.press("f")
    expect(_out(page)).to_contain_text("line 600")
    assert not _scrolled_up(page)


def test_a_restart_of_the_server_is_survived(site: Site, visit: Visitor) -> None:
    """What was printed meanwhile comes, each line once, in the same window without a reload."""
    _running(site)
    visit.expects_absence = True
    site.say("t1", _lines(1, 3))
    page = visit("#/tasks/t1")
    expect(_out(page)).to_contain_text("line 3")
    page.evaluate("window.same = true")
    site.stop()
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    expect(_out(page)).to_contain_text("line 3")
    site.say("t1", _lines(4, 6))
    site.start()
    expect(_out(page).locator(".text")).to_have_text([f"line {number}" for number in range(1, 7)])
    expect(page.get_by_text("The server does not answer.")).to_have_count(0)
    site.say("t1", _lines(7, 7))
    expect(_out(page)).to_contain_text("line 7")
    assert page.evaluate("window.same")


def test_the_list_goes_on_after_a_restart(site: Site, visit: Visitor) -> None:
    """Also with what happened while the server was away."""
    visit.expects_absence = True
    _running(site)
    page = visit()
    expect(page.locator("tbody tr")).to_contain_text("running")
    site.stop()
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    site.become(succeeded("t1", REQUEST))
    site.start()
    expect(page.locator("tbody tr")).to_contain_text("succeeded")
    site.services.client.submit(REQUEST, "t2")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_figures_are_drawn_while_it_runs(site: Site, visit: Visitor) -> None:
    """A plot for each, with the last value beside its name; nothing before there is a line to draw."""
    _running(site)
    page = visit("#/tasks/t1")
    site.use("t1", Point(1, 0.5, 20.0, 1 << 20, 2))
    site.use("t1", Point(1, 1.0, 150.0, 3 << 20, 4))
    use = page.get_by_role("region", name="Use of the machine")
    expect(use.locator("figcaption")).to_have_text(["CPU 150 %", "Memory 3 MiB", "Processes 4"])
    site.use("t1", Point(1, 1.5, 50.0, 2 << 20, 3))
    expect(use.locator("figcaption")).to_have_text(["CPU 50 %", "Memory 2 MiB", "Processes 3"])
    expect(use.locator("canvas")).to_have_count(3)


def test_a_database_that_is_away_is_told_and_survived(site: Site, visit: Visitor) -> None:
    """In the words of the server, which is there. The browser tells of the 503 itself."""
    words = "mongodb: 127.0.0.1:1 does not answer"
    site.answers["/v1/tasks"] = Problem(HTTPStatus.SERVICE_UNAVAILABLE, words).response()
    page = visit()
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_text("The server does not answer.")).to_have_count(0)
    del site.answers["/v1/tasks"]
    expect(page.get_by_text("There are no tasks yet")).to_be_visible()
    assert all("503" in said for said in visit.wrong)
    visit.wrong.clear()


def test_what_was_not_sent_is_told_and_read_at_the_end(site: Site, visit: Visitor) -> None:
    """While it runs the place is marked; when the log is stored, it has all."""
    _running(site)
    whole = _lines(1, 9)
    page = visit("#/tasks/t1")
    site.say("t1", whole[:14])
    site.say("t1", whole[35:], skip=21)
    expect(_out(page)).to_contain_text("21 bytes are missing here")
    site.become(succeeded("t1", REQUEST, stdout=whole))
    expect(_out(page).locator(".text")).to_have_text([f"line {number}" for number in range(1, 10)])


def test_a_flood_is_followed_in_few_rows(site: Site, visit: Visitor) -> None:
    """A million lines: the last is there, and the document stays small."""
    _running(site)
    page = visit("#/tasks/t1")
    for first in range(1, 1_000_001, 20_000):
        site.say("t1", _lines(first, first + 19_999))
    expect(_out(page)).to_contain_text("line 1000000")
    expect(_out(page)).to_contain_text("The first")
    assert page.locator(".row").count() < 200
