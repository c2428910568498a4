"""Make sure that the tests of the page have a browser: Debian's Chromium, with fonts. Says in a line when there is none."""

import os
import shutil
import sys

from scripts.packages import NotReady, can_install, install

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""No sandbox, because root has none; and nothing that asks other hosts for anything."""


def main() -> None:
    """Install it where that can be done; without it the tests of the page are skipped, and CI fails."""
    if browser() is not None:
        return
    if not can_install():
        _go_without("only root on Debian or Ubuntu can install one; run `sudo apt-get install chromium`")
        return
    print("browser: installing Debian's chromium, about a minute", flush=True)
    try:
        install("chromium", "fonts-dejavu-core")
    except NotReady as reason:
        _go_without(str(reason))


def _go_without(why: str) -> None:
    words = f"browser: there is none for the tests of the page: {why}"
    if os.environ.get("CI"):
        sys.exit(words)
    print(words, file=sys.stderr)


def browser() -> str | None:
    """The path of one; None when there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__":
    main()
