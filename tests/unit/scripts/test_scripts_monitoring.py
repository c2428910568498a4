"""Where the tests get Prometheus from."""

from pathlib import Path

import pytest

from scripts import monitoring
from scripts.packages import NotReady


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Prometheus; the folder for what is fetched."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(monitoring, "FOLDER", tmp_path / "monitoring")
    return tmp_path


def test_the_programs_are_read_out_of_the_package_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed, so no server starts with the machine."""
    asked: list[tuple[str, ...]] = []

    def read_all(*names: str) -> list[bytes]:
        asked.append(names)
        return [b"#!/bin/sh\n" for _ in names[1:]]

    monkeypatch.setattr(monitoring, "read_all", read_all)
    assert monitoring.found() == {}
    for _ in range(2):
        assert monitoring.ready() == {name: bare / "monitoring" / name for name in ("prometheus", "promtool")}
    assert asked == [("prometheus", "bin/prometheus", "bin/promtool")]


def test_programs_on_the_path_are_used(bare: Path) -> None:
    """All that are wanted, or the package's own."""
    (bare / "bin").mkdir()
    for name in monitoring.PROGRAMS:
        assert monitoring.found() == {}
        (bare / "bin" / name).touch(0o755)
    assert monitoring.found() == {name: bare / "bin" / name for name in monitoring.PROGRAMS}


@pytest.mark.usefixtures("bare")
def test_a_package_that_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence."""

    def fail(*_: str) -> list[bytes]:
        raise NotReady("no apt-get")

    monkeypatch.setattr(monitoring, "read_all", fail)
    with pytest.raises(SystemExit, match="monitoring: no apt-get"):
        monitoring.main()
    assert "out of Debian's package" in capsys.readouterr().out
