"""The file ``.orchestrator/env``, lines ``NAME=value``, in which `up` tells client commands where its servers are."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.embedded.home import is_held
from orchestrator.errors import SettingsError

DATA = Path(".orchestrator")
FILE = "env"
_SERVERS = frozenset({"MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"})


def environment(folder: Path | None = None, given: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The given variables and, for those not set, what `up` wrote in ``folder`` (by default the current one) or one above it.

    Raises SettingsError when that file is not to be trusted, or its servers do not run any more.
    """
    explicit = {name: value for name, value in given.items() if value}
    file = _find(Path.cwd() if folder is None else folder)
    if file is None or explicit.keys() >= _SERVERS:
        return explicit
    written = read(file)
    if "MINIO_ENDPOINT" in explicit:  # the keys belong to the server that they were made for
        written = {name: value for name, value in written.items() if not name.startswith("MINIO_")}
    return {**written, **explicit}


@contextmanager
def published(file: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Keep the variables in the file, for its owner only, for the length of the block."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read(file: Path) -> dict[str, str]:
    """The variables in the file. Raises SettingsError when it is not to be trusted or out of date."""
    about = file.stat()
    if about.st_uid not in {0, os.geteuid()} or about.st_mode & 0o022:
        raise SettingsError(f"{file} could have been written by another user: set the variables yourself, or remove the file")
    if not is_held(file.parent):
        raise SettingsError(f"`orchestrator up` does not run in {file.parent} any more: start it again, or remove {file}")
    lines = (line.partition("=") for line in file.read_text().splitlines())
    return {name: value for name, sep, value in lines if sep}


def _find(folder: Path) -> Path | None:
    files = (above / DATA / FILE for above in [folder, *folder.parents])
    return next((file for file in files if os.access(file, os.R_OK)), None)
