"""Output that means harm, in a browser: it is text, whatever it is."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.page_site import Site
from tests.support.page_tasks import succeeded
from tests.support.page_visitor import Visitor

HEBREW = "שלום עולם"
REQUEST = {"image": "busybox", "command": ["spew"]}
MARKUP = "<img src=x onerror='window.harmed=1'><b>bold</b>&lt;"
SCRIPT = "</script><script>window.harmed=1</script></title></style>"


def _shown(site: Site, visit: Visitor, output: bytes) -> tuple[Page, Locator]:
    site.plant(succeeded("t1", REQUEST, stdout=output))
    page = visit("#/tasks/t1")
    return page, page.get_by_role("region", name="stdout", exact=True)


def _is_unharmed(page: Page) -> bool:
    return bool(page.evaluate("window.harmed === undefined"))


@pytest.mark.parametrize("text", [MARKUP, SCRIPT])
def test_markup_is_text(site: Site, visit: Visitor, text: str) -> None:
    """Letter by letter, and no element comes of it."""
    page, out = _shown(site, visit, text.encode())
    expect(out.locator(".text")).to_have_text(text)
    assert out.locator("img, b, script").count() == 0
    assert _is_unharmed(page)


def test_what_a_terminal_would_obey_is_left_out(site: Site, visit: Visitor) -> None:
    """Colours are shown; the cursor, the title and links are not obeyed; what is no sequence is seen."""
    output = b"a\x1b[31mred\x1b[0m\x1b[2J\x1b[1;1H\x1b]0;title\x07\x1b]8;;http://elsewhere.test\x1b\\link\x1b]8;;\x1b\\\x07\x1b"
    page, out = _shown(site, visit, output)
    expect(out.locator(".text")).to_have_text("aredlink\u2407\u241b")
    expect(out.locator(".ansi-fg1")).to_have_text("red")
    assert out.locator("a[href*=elsewhere]").count() == 0
    assert "title" not in page.title()


def test_the_direction_of_reading_stays(site: Site, visit: Visitor) -> None:
    """Overrides are shown as codes; words of other scripts are as they are, and leave the line number where it is."""
    _, out = _shown(site, visit, f"\u202egnp.exe\u2069\n{HEBREW}\n".encode())
    expect(out.locator(".text")).to_have_text(["[U+202E]gnp.exe[U+2069]", HEBREW])
    numbers = out.locator(".number")
    assert (numbers.nth(0).bounding_box() or {})["x"] == (numbers.nth(1).bounding_box() or {})["x"]


def test_bytes_that_are_no_text_are_shown_as_such(site: Site, visit: Visitor) -> None:
    """All 256 of them."""
    _, out = _shown(site, visit, bytes(range(256)))
    expect(out.locator(".text").first).to_contain_text("␀␁␂")
    expect(out).to_contain_text("\ufffd")


def test_a_progress_bar_is_its_last_state(site: Site, visit: Visitor) -> None:
    """And says that there was more."""
    _, out = _shown(site, visit, b"10%\r20%\r100%\r\ndone\r\n")
    expect(out.locator(".text")).to_have_text(["100%", "done"])
    expect(out.locator(".over")).to_have_count(1)


def test_a_million_lines_are_few_rows(site: Site, visit: Visitor) -> None:
    """The first ones go, which is told; the last is there, and search finds it."""
    output = b"".join(b"line %d\n" % number for number in range(1, 1_000_001))
    page, out = _shown(site, visit, output)
    expect(out).to_contain_text("The first")
    page.keyboard.press("s")
    page.keyboard.type("line 1000000")
    expect(out.get_by_role("status")).to_have_text("1 found")
    out.get_by_role("button", name="Next place").click()
    expect(out.locator("mark")).to_have_text("line 1000000")
    expect(out.get_by_role("link", name="Line 1000000 of")).to_be_visible()
    assert page.locator(".row").count() < 200


def test_a_hundred_megabytes_are_read_in_part_and_then_kept_in_part(site: Site, visit: Visitor) -> None:
    """No more is fetched than was asked for; the page answers all the time, and says what it does not show."""
    line = b"x" * 1023 + b"\n"
    page, out = _shown(site, visit, line * (100 << 10))
    expect(out).to_contain_text("of 100 MiB")
    page.get_by_role("button", name="Load the rest").click()
    expect(out).to_contain_text("102,400 lines")
    expect(out).to_contain_text("this page keeps the last")
    out.locator(".rows").evaluate("element => element.scrollTop = element.scrollHeight")
    expect(out.get_by_role("link", name="Line 102400 of")).to_be_visible()
    assert page.locator(".row").count() < 200


def test_one_line_without_end_is_cut_into_rows(site: Site, visit: Visitor) -> None:
    """Eight megabytes without a newline."""
    page, out = _shown(site, visit, b"y" * (8 << 20))
    expect(out).to_contain_text("1 line,")
    assert page.locator(".row").count() < 200
    assert max(map(len, out.locator(".text").all_inner_texts())) <= 16387


def test_fields_of_a_task_are_text_too(site: Site, visit: Visitor) -> None:
    """In the list, on its page and in the form, whatever somebody wrote into the document."""
    request = {
        "image": f"busybox {MARKUP}",
        "command": ["echo", MARKUP, SCRIPT, "\u202eexe"],
        "labels": {MARKUP: SCRIPT},
        "env": {"A": MARKUP},
    }
    story = succeeded("t1", request, refused={MARKUP: SCRIPT})
    site.plant(story)
    page = visit()
    expect(page.locator("tbody .what code")).to_contain_text(MARKUP.replace("'", "'\\''"))
    expect(page.locator("tbody .what code")).to_contain_text("[U+202E]exe")
    page.locator("tbody .id a").click()
    expect(page.get_by_role("region", name="Artifacts")).to_contain_text(MARKUP)
    page.get_by_text("The whole document").click()
    page.get_by_role("link", name="Edit and submit").click()
    expect(page.get_by_label("Image", exact=True)).to_have_value(f"busybox {MARKUP}")
    assert _is_unharmed(page)
