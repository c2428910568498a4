"""What the user hands in as files or on stdin: text, bytes, or a whole task as JSON."""

import base64
import json
import sys
from pathlib import Path

from orchestrator.errors import InvalidTask
from orchestrator.settings.env_file import entries


def content_of(data: bytes) -> object:
    """Bytes as a task document has them: text where they are UTF-8, else ``{base64: …}``."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def content_of_file(flag: str, path: str) -> object:
    """As ``content_of``, of a file that a flag names. Raises InvalidTask."""
    return content_of(_bytes(flag, path))


def read_variables(flag: str, path: str) -> list[tuple[str, str | None]]:
    """The variables in a file that a flag names, None where there is a name alone. Raises InvalidTask."""
    data = _bytes(flag, path)
    try:
        return [*entries(data)]
    except ValueError as error:
        raise InvalidTask([f"--{flag}: {path!r}: {error}"]) from None


def read_task(source: str) -> dict[str, object]:
    """The JSON object in a file or, with ``-``, on stdin. Raises InvalidTask."""
    data = sys.stdin.buffer.read() if source == "-" else _bytes("from", source)
    try:
        task = json.loads(data)
    except RecursionError:
        raise InvalidTask(["--from: the JSON is nested too deeply"]) from None
    except ValueError as error:
        raise InvalidTask([f"--from: this is not JSON: {error}"]) from error
    if not isinstance(task, dict):
        raise InvalidTask([f"--from: a task is a JSON object, not {_KINDS[type(task)]}"])
    return task


def _bytes(flag: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InvalidTask([f"--{flag}: {path!r} cannot be read: {getattr(error, 'strerror', None) or error}"]) from error


_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
