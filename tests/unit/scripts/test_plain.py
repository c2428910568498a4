"""The check of the prose finds the turns that it names, and nothing else."""

from pathlib import Path

import pytest

from scripts.plain import WORDS, main, turns


@pytest.mark.parametrize("word", WORDS)
def test_each_turn_is_found_with_its_line(word: str) -> None:
    """However it is written."""
    assert [*turns(f"plain\nplain {word.upper()}, plain")] == [(2, word.upper())]


def test_parts_of_words_are_no_turns() -> None:
    """As in renewed, manewal or least."""
    assert [*turns("renewed of oursource, at least")] == []


def test_a_file_with_one_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says which line."""
    (tmp_path / "good.md").write_text("The worker begins again.\n")
    assert main([tmp_path / "good.md"]) == 0
    (tmp_path / "bad.md").write_text("The worker begins anew.\n")
    assert main([tmp_path / "good.md", tmp_path / "bad.md"]) == 1
    assert "bad.md:1: 'anew' is not plain" in capsys.readouterr().out
