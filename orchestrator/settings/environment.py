"""The file ``.orchestrator/env``, lines ``NAME=value``, in which `up` tells client commands where its servers are."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import SettingsError
from orchestrator.folder_lock import is_held
from orchestrator.settings.env_file import entries
from orchestrator.settings.settings import IN_FILE

DATA = Path(".orchestrator")
FILE = "env"
_END = "\n"
_SERVERS = frozenset({"MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"})


def environment(
    folder: Path | None = None, given: Mapping[str, str] = os.environ, data: Path | None = None
) -> Mapping[str, str]:
    """The given variables and, for those not set, what `up` wrote in ``folder`` (by default the current one) or one above it.

    ``data`` is the folder of an `up` that has it elsewhere. Raises SettingsError when the file of that `up` is not to be
    trusted, or its servers do not run any more.
    """
    explicit = {name: value for name, value in given.items() if value}
    settled = {name.removesuffix(IN_FILE) for name in explicit}
    file = data / FILE if data else _find(_current() if folder is None else folder)
    if file is None or (data is None and settled >= _SERVERS):
        return explicit
    written = read(file)
    if "MINIO_ENDPOINT" in explicit:  # the keys belong to the server that they were made for
        written = {name: value for name, value in written.items() if not name.startswith("MINIO_")}
    return {name: value for name, value in written.items() if name not in settled} | explicit


@contextmanager
def published(file: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Keep the variables in the file, for its owner only, for the length of the block."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    # only a list of words may have a line feed in it, and takes a blank as well
    draft.write_text("".join(f"{name}={value.replace(_END, ' ')}\n" for name, value in variables.items()))
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read(file: Path) -> dict[str, str]:
    """The variables in the file. Raises SettingsError when it is not to be trusted or out of date."""
    try:
        about, data = file.stat(), file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; does `orchestrator up` run there?") from None
    if about.st_uid not in {0, os.geteuid()} or about.st_mode & 0o022:
        raise SettingsError(f"{file} could have been written by another user: set the variables yourself, or remove the file")
    if not is_held(file.parent):
        raise SettingsError(f"`orchestrator up` does not run in {file.parent} any more: start it again, or remove {file}")
    try:
        return {name: value for name, value in entries(data) if value is not None}
    except ValueError as error:
        raise SettingsError(f"{file} is not what `orchestrator up` wrote: {error}") from None


def _current() -> Path | None:
    """The current folder, or None when it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _find(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    files = (above / DATA / FILE for above in [folder, *folder.parents])
    return next((file for file in files if os.access(file, os.R_OK)), None)
