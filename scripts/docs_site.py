"""Make the docs site in build/site: lay the pages out as in the repository, so that their links hold, and run mkdocs.

mkdocs has its own environment, build/docs, from requirements/docs.txt. It stops at a link that leads nowhere.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "docs.txt"
TOOLS = ROOT / "build" / "docs"
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FOLDERS = ("docs", "diagrams")
DECISIONS = "docs/decisions/"
_ENVIRONMENT = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
"""Without its advice to move to another program; docs/decisions/076-the-docs-site.md says when to."""
_LINK = re.compile(r"\]\(([\w./-]+)")
_LOADED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
_CANONICAL = re.compile(r"""\brel=["']?(?:canonical|alternate)\b""")


def main() -> None:
    """Print where the site is, or end with what to do."""
    prepare()
    lay_out()
    mkdocs = [str(TOOLS / "bin" / "mkdocs"), "build"]
    if code := subprocess.run(mkdocs, check=False, cwd=ROOT, env=_ENVIRONMENT).returncode:
        sys.exit(code)
    if found := [f"{page.relative_to(SITE)}: {tag}" for page in SITE.rglob("*.html") for tag in loaded(page.read_text())]:
        sys.exit("\n".join(["docs: the site loads something from another host:", *found]))
    print(f"docs: {(SITE / 'index.html').relative_to(ROOT)}")


def prepare() -> None:
    """Have the environment that the lock names."""
    locked = f"{sys.version} in {ROOT}, {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    noted = TOOLS / "locked"
    if noted.is_file() and noted.read_text() == locked:
        return
    print(f"docs: installing mkdocs in {TOOLS.relative_to(ROOT)}", flush=True)
    venv.create(TOOLS, clear=True, with_pip=True)
    pip = [str(TOOLS / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=False).returncode:
        sys.exit("docs: pip cannot install requirements/docs.txt; see to what it says above, then repeat this")
    noted.write_text(locked)


def lay_out() -> None:
    """Copy the pages, and what they show and lead to, to the places that they have in the repository."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, SOURCE / folder)
    for name in [*map(Path, PAGES), *linked()]:
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, SOURCE / name)
    (SOURCE / DECISIONS / "README.md").write_text(decisions())
    for page in (SOURCE / name for name in PAGES):
        page.write_text(page.read_text().replace(f"]({DECISIONS})", f"]({DECISIONS}README.md)"))


def linked() -> set[Path]:
    """Files elsewhere that are no pages, such as code, to which pages in docs/ lead."""
    pages = (ROOT / "docs").rglob("*.md")
    targets = {(page.parent / link).resolve() for page in pages for link in _LINK.findall(page.read_text())}
    return {file.relative_to(ROOT) for file in targets if file.is_file() and file.suffix != ".md"}


def decisions() -> str:
    """The page that lists them, which a browser of the repository makes from the folder."""
    records = sorted((ROOT / DECISIONS).glob("[0-9]*.md"))
    titles = (record.read_text().partition("\n")[0].removeprefix("# ") for record in records)
    lines = (f"- [{record.name[:3]}]({record.name}) {title}\n" for record, title in zip(records, titles, strict=True))
    return f"# Decisions\n\n{''.join(lines)}"


def loaded(page: str) -> Iterator[str]:
    """The tags of a page by which a browser would ask another host by itself."""
    return (tag for tag in _LOADED.findall(page) if not _CANONICAL.search(tag))


if __name__ == "__main__":
    main()
