"""The command `artifacts`, on services in memory."""

from pathlib import Path

import click
import pytest
from attrs import evolve
from click.testing import _NamedTextIOWrapper

from orchestrator.cli.artifacts import _save
from orchestrator.cli.render import artifacts_table
from orchestrator.task.artifact import Artifact, Refusal
from orchestrator.testing.programs import Program
from tests.support.tars import out
from tests.support.tasks import finished
from tests.unit.cli.command_line import CommandLine

PROGRAM = ("program",)


@pytest.fixture
def orchestrator(tmp_path: Path) -> CommandLine:
    """A command line with one ended task, ``t``, that left two files."""
    called = CommandLine(tmp_path / "spool", {PROGRAM: Program(out=out(a=b"one\n", b=bytes(range(256))))})
    assert called("run", "--id", "t", "--artifact", ".", "--artifacts-size", "1m", "busybox", "program").exit_code == 0
    return called


def test_artifacts_are_listed_and_shown(orchestrator: CommandLine) -> None:
    """By path, with size and sum."""
    lines = orchestrator("artifacts", "t").output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["a", "4"], ["b", "256"]]
    assert "a, 4 B, sha256" in orchestrator("show", "t").output


def test_one_is_printed_byte_for_byte(orchestrator: CommandLine) -> None:
    """As it was written."""
    assert orchestrator("artifacts", "t", "b").stdout_bytes == bytes(range(256))


@pytest.mark.parametrize(("path", "written"), [((), {"a", "b"}), (("a",), {"a"})])
def test_they_are_written_below_a_folder(
    orchestrator: CommandLine, tmp_path: Path, path: tuple[str, ...], written: set[str]
) -> None:
    """All, or the one that is named; the folder is made."""
    folder = tmp_path / "new" / "folder"
    assert orchestrator("artifacts", "t", *path, "--output", str(folder)).exit_code == 0
    assert {each.name for each in folder.iterdir()} == written
    assert (folder / "a").read_bytes() == b"one\n"


@pytest.mark.parametrize("more", [(), ("--output", "folder")])
def test_one_that_is_not_kept_is_told(orchestrator: CommandLine, more: tuple[str, ...]) -> None:
    """Nothing is written."""
    result = orchestrator("artifacts", "t", "none", *more)
    assert (result.exit_code, "no stored artifact 'none'" in result.output) == (1, True)


def test_a_document_cannot_write_outside_of_the_folder(tmp_path: Path) -> None:
    """Neither by a path nor through a link that an earlier file or another hand put there."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(click.FileError, match="outside"):
        _save([b"x"], "link/x", folder)
    for path in ("../x", "/x", "a/../../x"):
        with pytest.raises(ValueError, match="relative path"):
            _save([b"x"], path, folder)
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over_unless_forced(orchestrator: CommandLine, tmp_path: Path) -> None:
    """Nor is anything else written then; a link that is in the way counts, wherever it leads."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for make in (lambda at: at.write_bytes(b"mine"), lambda at: at.symlink_to("none")):
        make(folder / "b")
        result = orchestrator("artifacts", "t", "--output", str(folder))
        assert result.exit_code != 0
        assert f"{folder / 'b'}': it is there already; --force writes over it" in result.stderr
        assert not (folder / "a").exists()
        (folder / "b").unlink()
    (folder / "b").write_bytes(b"mine")
    assert orchestrator("artifacts", "t", "--output", str(folder), "--force").exit_code == 0
    assert (folder / "b").read_bytes() == bytes(range(256))


def test_in_a_terminal_the_bytes_of_one_are_shown_as_text(orchestrator: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that it would obey; with --raw they are as they were written."""
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    shown = orchestrator("artifacts", "t", "b").stdout
    assert "\x1b" not in shown
    assert "ABC" in shown
    assert orchestrator("artifacts", "t", "b", "--raw").stdout_bytes == bytes(range(256))


def test_names_cannot_command_a_terminal() -> None:
    """Neither those that are kept nor those that are refused."""
    kept, refused = Artifact("a\x1b[2J", "k", 1, "s\x1b"), Refusal("b\nc", "it is\x1b a FIFO")
    rows = artifacts_table(evolve(finished(), artifacts_stored=(kept,), artifacts_refused=(refused,)))
    cells = [str(cell) for column in rows.columns for cell in column.cells]
    assert not [cell for cell in cells if not cell.isprintable()]
