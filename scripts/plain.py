"""Says where the prose is not plain technical English: turns of speech that were rewritten once and must not come back."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = (
    *("whoever", "whomever", "anew", "befell", "befall", "befalls", "of ours", "of our own", "of one's own"),
    *("thereof", "whereof", "thereby", "therein", "lest", "who must", "has no say", "have no say", "in vain", "of late"),
    *("none of its business", "nobody's business", "nobody else's business", "nothing to tell", "to and fro"),
    *("in the midst of", "at the door", "for certain"),
)
_FOUND = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
_APART = ("docs/decisions/", "scripts/plain.py", "tests/unit/scripts/test_plain.py")
"""Decisions are history; and this has to name the words."""
_KINDS = {".py", ".md", ".toml", ".yaml", ".mjs", ""}


def turns(text: str) -> Iterator[tuple[int, str]]:
    """The number of each line with such a turn, and the turn."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((number, found[0]) for found in _FOUND.finditer(line))


def main(paths: Iterable[Path]) -> int:
    """The exit code: 1 if any of the files has one."""
    found = [
        f"{path}:{number}: {turn!r} is not plain: see CONTRIBUTING.md" for path in paths for number, turn in turns(_text(path))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _ours() -> Iterator[Path]:
    """What is committed, or about to be, and is read by people."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True, stdout=subprocess.PIPE, text=True
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(_APART) and Path(name).suffix in _KINDS and (ROOT / name).is_file():
            yield ROOT / name


if __name__ == "__main__":
    sys.exit(main(_ours()))
