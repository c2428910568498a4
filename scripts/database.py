"""Make sure that SecantusDB, the MongoDB of demo and tests, has a Python to run under, and say which when it is another one."""

import os
from contextlib import suppress

from orchestrator.embedded.interpreter import OLDER, PACKAGE, interpreter, is_here, older
from scripts.packages import NotReady, can_install, install, told


def main() -> None:
    """Print a line where something is to be said, or end with what to do."""
    if is_here() or os.environ.get("MONGO_URI"):
        return
    with told("database"):
        if older() is None and can_install():
            _install()
        print(f"database: {PACKAGE} runs under {interpreter()}")


def _install() -> None:
    """The newest Python that does and that this release has; where it has none, what comes next says so."""
    for version in OLDER:
        print(f"database: installing Debian's python{version}-venv", flush=True)
        with suppress(NotReady):
            install(f"python{version}-venv")
            return


if __name__ == "__main__":
    main()
