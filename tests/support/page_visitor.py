"""Windows of a browser at the page of a site, and what went wrong in them."""

from typing import Any

from playwright.sync_api import Browser, Page, Request

from tests.support import pace
from tests.support.page_site import Site


class Visitor:
    """Opens pages, and keeps what went wrong in them."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser, self._site = browser, site
        self.wrong: list[str] = []
        self.elsewhere: list[str] = []
        self.expects_absence = False
        """Whether the server is to be away for a while, of which the browser tells."""

    def __call__(self, view: str = "", **context: Any) -> Page:
        """A new window at a view of the page."""
        own = self._browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **context})
        own.set_default_timeout(pace.seconds(20) * 1000)
        page = own.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        page.on("request", self._asked)
        page.goto(f"{self._site.url}{view}")
        return page

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._site.url, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def check(self) -> None:
        """Nothing went wrong, and nobody else was asked."""
        told = [said for said in self.wrong if not (self.expects_absence and "ERR_" in said)]
        assert (told, self.elsewhere) == ([], [])

    def close(self) -> None:
        """Close all windows."""
        for context in self._browser.contexts:
            context.close()
