"""The checkout in a machine: copied as it is here, set up, and commands run in it."""

import hashlib
import io
import json
import os
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path

from scripts.machine_disk import CHECKOUT, INSIDE, SETTINGS, checkout_files
from scripts.machine_vm import Machine, inside

_MANIFEST = "/root/checkout.json"
_ALONE = {"ORCHESTRATOR_TEST_MACHINE": "1"}
"""Tells the tests that they may change the machine."""


def sync(one: Machine) -> list[str]:
    """Copy what changed since the last time; the names of what was copied or removed. Raises NotReady."""
    here = {name: fingerprint(CHECKOUT / name) for name in checkout_files()}
    changed, gone = difference(here, json.loads(inside(one, f"cat {_MANIFEST} 2>/dev/null || echo '{{}}'")))
    if changed or gone:
        removal = f"cd {INSIDE}; rm -f -- {shlex.join(gone)}; " if gone else ""
        inside(one, f"mkdir -p {INSIDE}; {removal}tar -xzf - -C /", _packed(changed, here))
    return [*changed, *gone]


def difference(here: dict[str, str], there: dict[str, str]) -> tuple[list[str], list[str]]:
    """The files that are new or other here, and those that are there alone."""
    return [name for name, content in here.items() if there.get(name) != content], [name for name in there if name not in here]


def fingerprint(path: Path) -> str:
    """Changes with a file's content, its mode or where it points to."""
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    return f"{path.lstat().st_mode:o} {hashlib.sha256(content).hexdigest()}"


def in_checkout(command: str, **environment: str) -> str:
    """A command for the machine's shell: in the checkout, without a network for pip."""
    values = shlex.join(f"{name}={value}" for name, value in (SETTINGS | _ALONE | environment).items())
    return f"cd {INSIDE} && export {values} && {command}"


def pytest(arguments: str) -> str:
    """The command that runs tests; ``arguments`` as for a shell."""
    no_skips = "-p scripts.no_skips " if os.environ.get("CI") else ""
    return f"scripts/setup && .venv/bin/python -m pytest {no_skips}{arguments}"


def joined(words: Sequence[str]) -> str:
    """What somebody typed: one word is a command for a shell, several are a command and its arguments."""
    return words[0] if len(words) == 1 else shlex.join(words)


def _packed(names: Sequence[str], manifest: dict[str, str]) -> bytes:
    content = json.dumps(manifest).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name in names:
            tar.add(CHECKOUT / name, arcname=f"{INSIDE}/{name}", filter=_as_root)
        entry = tarfile.TarInfo(_MANIFEST)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
