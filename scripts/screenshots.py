"""Makes the pictures of the page that docs/ has: ``make screenshots``. They show a made-up deployment, in a real browser."""

import sys
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from scripts.browser import FLAGS, browser
from tests.support import page_demo
from tests.support.page_site import Site, page_site

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
LARGEST = 100_000
"""Bytes of a picture."""
_WIDE, _LIST, _PHONE = {"width": 1200, "height": 760}, {"width": 1100, "height": 500}, {"width": 390, "height": 760}
PICTURES = {
    "tasks": ("#/tasks", "light", _LIST, "tbody tr"),
    "task": (f"#/tasks/{page_demo.LEAK}", "light", _WIDE, ".row"),
    "overview": ("#/overview", "dark", _WIDE, "canvas"),
    "phone": (f"#/tasks/{page_demo.TRAIN}", "dark", _PHONE, ".row"),
}


def main() -> int:
    """The exit code."""
    path = browser()
    if path is None:
        print("screenshots: there is no browser; run `python -m scripts.browser` as root", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with page_site() as site, sync_playwright() as playwright:
        page_demo.fill(site)
        started = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        sizes = {name: _taken(started, site, name) for name in PICTURES}
        started.close()
    for name, size in sizes.items():
        print(f"screenshots: {name}.png, {size} bytes")
    return int(max(sizes.values()) >= LARGEST)


def _taken(started: Browser, site: Site, name: str) -> int:
    """The size of the picture."""
    view, scheme, viewport, ready = PICTURES[name]
    page = started.new_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce", timezone_id="Europe/Berlin")  # type: ignore[arg-type]
    page.goto(f"{site.url}{view}")
    expect(page.locator(ready).first).to_be_visible()
    page.evaluate("document.documentElement.style.scrollbarGutter = 'auto'")
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    page.close()
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
