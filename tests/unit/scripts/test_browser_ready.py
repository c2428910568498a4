"""Whether the tests of the page get a browser."""

import pytest

from scripts import browser
from scripts.packages import NotReady


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without one, outside CI."""
    monkeypatch.setattr(browser.shutil, "which", lambda _: None)
    monkeypatch.delenv("CI", raising=False)


def test_one_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed."""
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "chromium-browser" else None)
    monkeypatch.setattr(browser, "install", lambda *_: pytest.fail("it installs"))
    browser.main()
    assert browser.browser() == "/usr/bin/chromium-browser"


def test_where_there_is_none_it_is_installed_with_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fonts a browser shows boxes."""
    installed: list[str] = []
    monkeypatch.setattr(browser, "can_install", lambda: True)
    monkeypatch.setattr(browser, "install", lambda *names: installed.extend(names))
    browser.main()
    assert installed == ["chromium", "fonts-dejavu-core"]


@pytest.mark.parametrize("is_root", [True, False])
def test_where_none_can_be_had_ci_fails_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_root: bool
) -> None:
    """Others are told, and go on without the tests of the page."""

    def refuse(*_: str) -> None:
        raise NotReady("apt has none")

    monkeypatch.setattr(browser, "can_install", lambda: is_root)
    monkeypatch.setattr(browser, "install", refuse)
    browser.main()
    assert "there is none for the tests of the page" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match="there is none"):
        browser.main()
