"""Every relative link of the pages leads to a file that is there, and to a heading in it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WRITTEN_LATER = {"docs/hosts.md"}
"""`make machines-test` writes it."""
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_CODE = re.compile(r"(?ms)^ *```.*?^ *```|`[^`\n]*`")


def links(text: str) -> Iterator[tuple[str, str]]:
    """The path and the anchor of each relative link; either may be empty."""
    for target in _LINK.findall(_CODE.sub("", text)):
        if not _ELSEWHERE.match(target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: equal ones get a number."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"(?m)^#+ +(.*?) *$", re.sub(r"(?ms)^ *```.*?^ *```", "", text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{number}" if number else slug)
    return names


def dead(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for path, anchor in links(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        if not target.exists():
            if not any(target.resolve() == (ROOT / later).resolve() for later in WRITTEN_LATER):
                yield f"{path}: no such file"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{path}#{anchor}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    """Pages and headings are renamed now and then."""
    assert [*dead(page)] == []


def test_links_that_lead_nowhere_are_seen(tmp_path: Path) -> None:
    """To a file, to a heading of another page, and to one of the same page; those in code are no links."""
    (tmp_path / "other.md").write_text("# One: `a` and [b](c)\n## Again\n## Again\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[1](other.md) [2](other.md#one-a-and-b) [3](#here) [4](other.md#again-1)\n"
        "[5](https://example.com/#x) `[6](no.md)`\n"
        "[7](missing.md) [8](other.md#two) [9](#there) [10](missing.md#x)\n"
    )
    assert [*dead(page)] == [
        "missing.md: no such file",
        "other.md#two: no such heading",
        "#there: no such heading",
        "missing.md: no such file",
    ]


def test_the_readme_leads_to_every_page_of_the_documentation() -> None:
    """What nothing leads to is not read; decisions are listed by their folder, and generated pages may lead to each other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {path for path, _ in links(readme)}
    pages = {str(page.relative_to(ROOT)) for page in [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/reference/*.md")]}
    assert pages - linked - WRITTEN_LATER == set()
