"""The docs site: every page is in its navigation, and what it is made of is where the links of the pages lead."""

import re
from pathlib import Path

import pytest

from scripts import docs_site

NAV = (docs_site.ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
WRITTEN_LATER = {"docs/hosts.md"}
"""`make machines-test` writes it."""


def test_every_page_is_in_the_navigation() -> None:
    """Once. Decisions have a page that lists them."""
    named = re.findall(r"(?m): (\S+\.md)$", NAV)
    pages = [page for pattern in ("*.md", "reference/*.md") for page in (docs_site.ROOT / "docs").glob(pattern)]
    wanted = {str(page.relative_to(docs_site.ROOT)) for page in pages} - WRITTEN_LATER
    assert sorted(named) == sorted({*wanted, *docs_site.PAGES, "docs/decisions/README.md"})


def test_the_navigation_has_the_order_of_the_readme() -> None:
    """A reader finds a page at the same place."""
    readme = (docs_site.ROOT / "README.md").read_text(encoding="utf-8").partition("## Documentation")[2]
    linked = re.findall(r"\]\(((?:docs/|\w+\.md)[\w./-]*?)(?:README)?\)", readme)
    named = [name.removesuffix("README.md") for name in re.findall(r"(?m): (\S+\.md)$", NAV)][1:]
    assert [name for name in linked if name in named] == [name for name in named if name in linked] == named


def test_pages_and_what_they_lead_to_are_laid_out_as_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures and code, too; what was there before is gone."""
    monkeypatch.setattr(docs_site, "SOURCE", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.md").touch()
    docs_site.lay_out()
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"README.md", "docs/images/tasks.png", "docs/task.schema.json", "statemachine/table.py"} <= there
    assert "docs/old.md" not in there
    assert "](docs/decisions/README.md)" in (tmp_path / "README.md").read_text()
    assert "- [001](001-one-table.md) " in (tmp_path / "docs" / "decisions" / "README.md").read_text()


@pytest.mark.parametrize(
    ("tag", "is_loaded"),
    [
        ('<script src="https://unpkg.com/x"></script>', True),
        ('<link rel="stylesheet" href="https://fonts.googleapis.com/css">', True),
        ("<img src=//example.com/a.png>", True),
        ('<script src="assets/a.js"></script>', False),
        ('<a href="https://example.com/">', False),
        ('<link rel="canonical" href="https://example.com/">', False),
    ],
)
def test_what_a_browser_would_load_from_another_host_is_seen(tag: str, *, is_loaded: bool) -> None:
    """A link that a reader has to follow is none."""
    assert bool([*docs_site.loaded(f"<p>{tag}</p>")]) is is_loaded
