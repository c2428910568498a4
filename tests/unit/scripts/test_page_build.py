"""Whether the page is built when its sources have changed, against a stand-in for npm."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from scripts import page


class Npm:
    """Notes what it is called for, and leaves what the real one would leave."""

    def __init__(self, root: Path) -> None:
        self.calls: list[str] = []
        self._root = root

    def __call__(self, _: Iterable[str], *arguments: str) -> str:
        """See ``page.run``."""
        self.calls.append(" ".join(argument for argument in arguments if not argument.startswith("--")))
        (self._root / "web" / "node_modules").mkdir(exist_ok=True)
        (self._root / "page").mkdir(exist_ok=True)
        (self._root / "page" / "index.html").write_text("<!doctype html>")
        return ""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """A checkout of its own, with sources."""
    (tmp_path / "web" / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/main.tsx"):
        (tmp_path / "web" / name).write_text(name)
    modules = tmp_path / "web" / "node_modules"
    paths = {"ROOT": tmp_path, "WEB": tmp_path / "web", "PAGE": tmp_path / "page", "MODULES": modules}
    for name, path in {**paths, "_BUILT": modules / ".built", "_LOCKED": modules / ".locked"}.items():
        monkeypatch.setattr(page, name, path)
    npm = Npm(tmp_path)
    monkeypatch.setattr(page, "run", npm)
    return npm


def test_it_is_built_once(npm: Npm) -> None:
    """The second time nothing is said or done."""
    assert len([*page.build()]) == 2
    assert npm.calls == ["ci", "run build"]
    assert [*page.build()] == []
    assert len(npm.calls) == 2


def test_a_change_builds_it_again(npm: Npm, tmp_path: Path) -> None:
    """The packages are installed again only when the lock has changed, and a page that is gone is made again."""
    [*page.build()]
    (tmp_path / "web" / "src" / "main.tsx").write_text("other")
    [*page.build()]
    assert npm.calls[2:] == ["run build"]
    (tmp_path / "page" / "index.html").unlink()
    [*page.build()]
    assert npm.calls[3:] == ["run build"]
    (tmp_path / "web" / "package-lock.json").write_text("other")
    [*page.build()]
    assert npm.calls[4:] == ["ci", "run build"]


def test_without_a_network_it_is_left_out_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The complaint of npm is shown."""

    def away() -> None:
        raise subprocess.CalledProcessError(1, "npm", "ENOTFOUND")

    monkeypatch.setattr(page, "build", away)
    monkeypatch.delenv("CI", raising=False)
    page.main()
    assert "ENOTFOUND" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match="ENOTFOUND"):
        page.main()


@pytest.mark.parametrize(
    ("version", "is_used"), [((), False), ((18, 20), False), ((20, 18), False), ((20, 19), True), ((24, 1), True)]
)
def test_the_systems_node_is_used_when_it_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], *, is_used: bool
) -> None:
    """Otherwise that of the wheel, with the npm beside it."""
    monkeypatch.setattr(page, "_version", lambda: version)
    monkeypatch.setattr(page.shutil, "which", lambda _: "/usr/bin/npm")
    command = page.npm_command()
    assert (command == ("npm",)) is is_used
    assert is_used or all(map(Path.exists, map(Path, command)))
