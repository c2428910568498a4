"""Make sure that there are ``prometheus`` and ``promtool`` for the tests, and say which in a line.

They are read out of Debian's package. To install it would start a server that nobody asked for.
"""

import os
import shutil
from pathlib import Path

from scripts.packages import NotReady, read_all, told

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
FOLDER = Path(__file__).resolve().parent.parent / ".orchestrator" / "monitoring"
ADVICE = "no Prometheus is here; `make test` gets one, or run `.venv/bin/python -m scripts.monitoring`"


def main() -> None:
    """Print one line, or end with what to do."""
    with told("monitoring"):
        print(f"monitoring: {', '.join(map(str, ready().values()))}")


def ready() -> dict[str, Path]:
    """Where each program is, by its name. Raises NotReady."""
    if not (programs := found()):
        _fetch()
        programs = found()
    if not programs:
        raise NotReady(f"{FOLDER} cannot be used for programs; install Prometheus yourself, then repeat this")
    return programs


def found() -> dict[str, Path]:
    """The same for those that are there already: all of them, or none."""
    path = os.pathsep.join([str(FOLDER), os.environ.get("PATH", os.defpath)])
    places = {name: shutil.which(name, path=path) for name in PROGRAMS}
    return {name: Path(place) for name, place in places.items() if place} if all(places.values()) else {}


def _fetch() -> None:
    print(f"monitoring: reading {' and '.join(PROGRAMS)} out of Debian's package", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    contents = read_all(PACKAGE, *(f"bin/{name}" for name in PROGRAMS))
    for name, content in zip(PROGRAMS, contents, strict=True):
        draft = FOLDER / f"{name}.new"
        draft.write_bytes(content)
        draft.chmod(0o755)
        draft.replace(FOLDER / name)


if __name__ == "__main__":
    main()
