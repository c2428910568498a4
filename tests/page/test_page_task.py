"""The page of one task in a browser."""

import json

from attrs import evolve
from playwright.sync_api import expect

from orchestrator.cause import Cause
from orchestrator.task.codec import to_document
from orchestrator.task.values import Metrics, SeriesObject
from statemachine import State
from tests.support import page_demo
from tests.support.page_site import Site
from tests.support.page_tasks import Story, failed, figures, series, succeeded
from tests.support.page_visitor import Visitor

REQUEST = {"image": "busybox", "command": ["sh", "-c", "exit 3"], "env": {"NAME": "Ada"}}


def test_the_verdict_says_why_and_shows_its_evidence(site: Site, visit: Visitor) -> None:
    """In one sentence; the numbers stand beside it."""
    evidence = {"signal": None, "ran_for_s": 2.4, "oom_killed": False}
    site.plant(failed("t1", REQUEST, Cause.EXIT, "the program exited with 3", exit_code=3, evidence=evidence))
    page = visit("#/tasks/t1")
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict.locator(".sentence")).to_have_text("The program exited with 3.")
    expect(verdict.get_by_label("Evidence")).to_contain_text("exit code3")
    expect(verdict.get_by_label("Evidence")).to_contain_text("ran for2.4 s")
    expect(verdict).to_contain_text("the program ended with a status other than 0")


def test_the_diagram_has_the_path_and_the_time_in_each_state(site: Site, visit: Visitor) -> None:
    """Only what was taken is marked as taken."""
    site.plant(failed("t1", REQUEST, Cause.EXIT, "the program exited with 3", waits=(3.0, 5.0, 0.25, 0.5)))
    page = visit("#/tasks/t1")
    picture = page.get_by_role("img", name="The task was")
    times = "queued for 3.0 s, then running for 5.0 s, then collecting for 250 ms, then uploading for 500 ms, then failed"
    expect(picture).to_have_attribute("aria-label", f"The task was {times}.")
    expect(picture.locator(".box.visited .name")).to_have_text(["queued", "running", "collecting", "uploading", "failed"])
    expect(picture.locator(".box.here .name")).to_have_text("failed")
    taken = picture.locator(".arrow.taken > title, .arrow.bad > title")
    arrows = sorted(text.partition(":")[0] for text in taken.all_text_contents())
    assert arrows == ["collecting → uploading", "queued → running", "running → collecting", "uploading → failed"]


def test_times_are_the_viewers_and_utc_on_hover(site: Site, visit: Visitor) -> None:
    """Half an hour off the hour, so that no mistake hides."""
    site.plant(succeeded("t1", REQUEST))
    page = visit("#/tasks/t1", timezone_id="Asia/Kolkata")
    submitted = page.get_by_role("region", name="Verdict").locator("time").first
    expect(submitted).to_have_text("2026-01-02 08:34:05")
    expect(submitted).to_have_attribute("title", "2026-01-02 03:04:05.000 UTC")


def test_output_is_searched_linked_and_downloaded(site: Site, visit: Visitor) -> None:
    """A link leads to its line also in a new window; the download is the stored bytes."""
    text = b"".join(b"line %d\n" % number for number in range(1, 5001))
    site.plant(succeeded("t1", REQUEST, stdout=text))
    page = visit("#/tasks/t1")
    out = page.get_by_role("region", name="stdout", exact=True)
    expect(out).to_contain_text("5,000 lines")
    page.keyboard.press("s")
    page.keyboard.type("LINE 4321")
    expect(out.get_by_role("status")).to_have_text("1 found")
    out.get_by_role("button", name="Next place").click()
    expect(out.locator("mark")).to_have_text("line 4321")
    out.get_by_role("link", name="Line 4321 of").click()
    expect(page.locator(".row.named")).to_contain_text("line 4321")
    again = visit(page.url.removeprefix(site.url))
    expect(again.locator(".row.named")).to_be_in_viewport()
    with page.expect_download() as download:
        out.get_by_role("link", name="Download").click()
    with open(download.value.path(), "rb") as file:  # noqa: PTH123  the path is text
        assert file.read() == text


def test_dropped_bytes_are_told(site: Site, visit: Visitor) -> None:
    """With their number."""
    site.plant(succeeded("t1", REQUEST, stdout=b"begin\nend\n", dropped=123456))
    page = visit("#/tasks/t1")
    expect(page.get_by_text("123,456 bytes dropped")).to_be_visible()


def test_attempts_stand_side_by_side_with_their_output(site: Site, visit: Visitor) -> None:
    """Of each its end, and its own log."""
    page_demo.fill(site)
    error = b"curl: (22) The requested URL returned error: 503\n"
    for number in (1, 2):
        site.keep(f"{page_demo.FLAKY}/{number}/stderr.log", error)
    page = visit(f"#/tasks/{page_demo.FLAKY}")
    table = page.get_by_role("region", name="Attempts", exact=True)
    expect(table.locator("thead th")).to_have_text(["Attempt 1", "Attempt 2", "Attempt 3"])
    expect(table.get_by_role("row", name="Exit code")).to_have_text("Exit code22220")
    expect(page.get_by_role("region", name="stdout", exact=True)).to_contain_text('{"items": 1204}')
    table.get_by_role("link", name="Attempt 2").click()
    expect(page.get_by_role("region", name="stderr", exact=True)).to_contain_text("returned error: 503")


def test_figures_are_drawn_and_artifacts_listed(site: Site, visit: Visitor) -> None:
    """A plot for each figure; a file is downloaded, what was refused says why."""
    page_demo.fill(site)
    page = visit(f"#/tasks/{page_demo.LEAK}")
    use = page.get_by_role("region", name="Use of the machine")
    expect(use.locator("canvas")).to_have_count(3)
    expect(use.locator("figcaption").nth(1)).to_have_text("Memory 256 MiB")
    files = page.get_by_role("region", name="Artifacts")
    expect(files).to_contain_text("it is a symbolic link")
    with page.expect_download() as download:
        files.get_by_role("link", name="report.json").click()
    assert download.value.suggested_filename == "report.json"


def measured(site: Site, attempt: int, memory: int) -> Metrics:
    """What an attempt used, with its figures over time in object storage."""
    content = json.dumps(series(attempt, [(0.25 * step, 50.0, memory, 2) for step in range(1, 9)])).encode()
    key = f"{page_demo.FLAKY}/{attempt}/series.json"
    site.keep(key, content)
    return evolve(figures(2.0, memory, 0.5, 2), series=SeriesObject(key, len(content), "", 8))


def test_each_attempt_has_its_own_figures(site: Site, visit: Visitor) -> None:
    """Plots and totals are those of the attempt that is chosen; an attempt without a plot has its totals."""
    page_demo.fill(site)
    for number in (1, 2):
        site.keep(f"{page_demo.FLAKY}/{number}/stderr.log", b"curl: (22) The requested URL returned error: 503\n")
    own = site.services.store.find(page_demo.FLAKY)
    assert own is not None
    past = [{**own["attempts"][0], **to_document({"metrics": measured(site, 1, 32 << 20)})}, own["attempts"][1]]
    site.services.store._save({**own, "attempts": past, **to_document({"metrics": measured(site, 3, 64 << 20)})})  # type: ignore[attr-defined]
    page = visit(f"#/tasks/{page_demo.FLAKY}")
    use = page.get_by_role("region", name="Use of the machine")
    memory = use.locator("figcaption").nth(1)
    expect(memory).to_have_text("Memory 64 MiB")
    use.get_by_role("button", name="1", exact=True).click()
    expect(memory).to_have_text("Memory 32 MiB")
    expect(use).to_contain_text("most memory32 MiB")
    expect(use.locator("canvas")).to_have_count(3)
    use.get_by_role("button", name="2", exact=True).click()
    expect(use).to_contain_text("most memory8 MiB")
    expect(use.locator("canvas")).to_have_count(0)


def test_a_task_is_cancelled_after_a_question(site: Site, visit: Visitor) -> None:
    """And says so at once."""
    site.services.client.submit(REQUEST, "t1")
    site.become(Story("t1", REQUEST, (State.RUNNING,), (0.1,)))
    page = visit("#/tasks/t1")
    page.get_by_role("button", name="Cancel task").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel task").click()
    expect(page.get_by_text("Cancelling…")).to_be_visible()
    found = site.services.store.find("t1")
    assert found is not None
    assert found["cancel_requested_at"] is not None


def test_a_task_is_run_again_and_deleted(site: Site, visit: Visitor) -> None:
    """The new one has the same request; the old one is gone when it was deleted."""
    site.plant(succeeded("t1", REQUEST))
    page = visit("#/tasks/t1")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("h1")).not_to_contain_text("t1")
    expect(page.locator(".status").first).to_have_text("queued")
    new = site.services.client.list()[0]
    assert dict(new.request) == REQUEST
    page.goto(f"{site.url}#/tasks/t1")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("tbody td.id")).to_have_text([new.id])


def test_a_request_is_copied_as_commands(site: Site, visit: Visitor) -> None:
    """What is in the clipboard is what would be typed."""
    site.plant(succeeded("t1", REQUEST))
    page = visit("#/tasks/t1", permissions=["clipboard-read", "clipboard-write"])
    copied = {}
    for name in ("run", "curl", "Python"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("button", name=name).get_by_role("status")).to_have_text("Copied")
        copied[name] = page.evaluate("navigator.clipboard.readText()")
    assert copied["run"] == "orchestrator run --env NAME=Ada busybox sh -c 'exit 3'"
    assert copied["curl"].startswith(f"curl --fail-with-body {site.url}v1/tasks")
    assert 'client.submit({"image": "busybox", "command": ["sh", "-c", "exit 3"], "env": {"NAME": "Ada"}})' in copied["Python"]


def test_an_unknown_task_is_no_blank_page(visit: Visitor) -> None:
    """It says what may be the matter. The browser tells of the 404 itself."""
    page = visit("#/tasks/nobody")
    expect(page.get_by_text("No task has the id nobody")).to_be_visible()
    assert all("404" in said for said in visit.wrong)
    visit.wrong.clear()


def test_a_log_that_was_removed_is_told(site: Site, visit: Visitor) -> None:
    """With the day."""
    story = succeeded("t1", REQUEST, stdout=b"x\n")
    site.plant(evolve(story, outcome={**story.outcome, "logs_removed_at": story.created_at}))
    page = visit("#/tasks/t1", timezone_id="UTC")
    expect(page.get_by_role("region", name="Output")).to_contain_text("The logs were removed on 2026-01-02 03:04:05")
