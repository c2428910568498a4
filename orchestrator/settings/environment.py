"""The files of variables beside the environment, lines ``NAME=value``: the user's ``.env`` and the one that `up` writes.

In ``.orchestrator/env`` `up` tells client commands where its servers are.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator import private_files as private
from orchestrator.errors import SettingsError
from orchestrator.folder_lock import is_held
from orchestrator.settings.env_file import entries, numbered
from orchestrator.settings.settings import IN_FILE

DATA = Path(".orchestrator")
FILE = "env"
ENV_FILE = Path(".env")
"""The user's own file, in the current folder."""
_END = "\n"
_STORAGE = "MINIO_ENDPOINT"
_API = "ORCHESTRATOR_URL"
SERVERS = frozenset({"MONGO_URI", "REDIS_URL", _STORAGE})


def environment(
    folder: Path | None = None,
    given: Mapping[str, str] = os.environ,
    data: Path | None = None,
    env_file: Path | None = None,
) -> Mapping[str, str]:
    """The given variables; for those not set, what ``env_file`` has; and for the rest, what `up` wrote in a folder.

    That is ``folder``, by default the current one, or one above it; ``data`` is the folder of an `up` that has it elsewhere.
    Raises SettingsError when a file is not to be trusted or cannot be read, or the servers of `up` do not run any more.
    """
    explicit = given_variables(given)
    own = _without(read_env_file(env_file), explicit) if env_file else {}
    named = settled({**own, **explicit})
    if _API in named and not named & SERVERS:  # another one than that of an `up` here
        return {**own, **explicit}
    file = data / FILE if data else _find(_current() if folder is None else folder)
    if file is None or (data is None and named >= SERVERS):
        return {**own, **explicit}
    written = read(file)
    if _STORAGE in named:  # the keys belong to the server that they were made for
        written = _without_storage(written)
    elif _STORAGE in written:
        own = _without_storage(own)
    return merged(written, {**own, **explicit})


def names_api(variables: Mapping[str, str]) -> bool:
    """Whether clients are to use the HTTP API: it is named, and the database is not."""
    named = settled(variables)
    return _API in named and "MONGO_URI" not in named


def given_variables(given: Mapping[str, str] = os.environ, env_file: Path | None = None) -> dict[str, str]:
    """The given variables that are not empty and, for those not set, what ``env_file`` has. Raises SettingsError."""
    explicit = {name: value for name, value in given.items() if value}
    return merged(read_env_file(env_file), explicit) if env_file else explicit


def read_env_file(file: Path) -> dict[str, str]:
    """The variables with a value in the user's file; none when there is no such file.

    Raises SettingsError that names the line, or says that another user could have written the file.
    """
    if not file.is_file():
        return {}
    try:
        about, data = file.stat(), file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; --no-env-file leaves it out") from None
    if not _is_own(about):
        raise SettingsError(
            f"{file} could have been written by another user: chown or chmod it, or leave it out by --no-env-file"
        )
    try:
        return {name: value for name, value in entries(data) if value}
    except ValueError as error:
        raise SettingsError(f"{file}: {error}; --no-env-file leaves the file out") from None


def line_of(name: str, file: Path) -> int | None:
    """The line of the user's file that sets the variable; None when none does, or the file cannot be read."""
    try:
        found = [number for number, other, value in numbered(file.read_bytes()) if other == name and value]
    except (OSError, ValueError):
        return None
    return found[-1] if found else None


@contextmanager
def published(file: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Keep the variables in the file, for its owner only, for the length of the block."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    # only a list of words may have a line feed in it, and takes a blank as well
    with private.named(draft):
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
    if not _is_own(about):
        raise SettingsError(f"{file} could have been written by another user: set the variables yourself, or remove the file")
    if not is_held(file.parent):
        raise SettingsError(f"`orchestrator up` does not run in {file.parent} any more: start it again, or remove {file}")
    try:
        return {name: value for name, value in entries(data) if value is not None}
    except ValueError as error:
        raise SettingsError(f"{file} is not what `orchestrator up` wrote: {error}") from None


def settled(variables: Mapping[str, str]) -> set[str]:
    """The settings that variables name; a secret may be named by its file."""
    return {name.removesuffix(IN_FILE) for name in variables}


def merged(weaker: Mapping[str, str], stronger: Mapping[str, str]) -> dict[str, str]:
    """The stronger variables and, for the settings that they leave open, the weaker ones."""
    return {**_without(weaker, stronger), **stronger}


def _is_own(about: os.stat_result) -> bool:
    """Whether nobody else but root could have written the file."""
    return about.st_uid in {0, os.geteuid()} and not about.st_mode & 0o022


def _without(variables: Mapping[str, str], stronger: Mapping[str, str]) -> dict[str, str]:
    """The variables for settings that the stronger ones leave open."""
    named = settled(stronger)
    return {name: value for name, value in variables.items() if name.removesuffix(IN_FILE) not in named}


def _without_storage(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith("MINIO_")}


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
