"""Files of variables, read as `docker run --env-file` reads them: one rule for files of users and for the file of `up`."""

import codecs
from collections.abc import Iterator

_BLANK = " \t"
_SPACE = (
    " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Docker's language has it, which Python sees in more characters."""


def entries(data: bytes) -> Iterator[tuple[str, str | None]]:
    """Each name with its value as it is written, or None for a name alone. Raises ValueError that names the line.

    Only a line feed ends a line, with a carriage return before it; a BOM at the beginning is no part of a name.
    """
    for _, name, value in numbered(data):
        yield name, value


def numbered(data: bytes) -> Iterator[tuple[int, str, str | None]]:
    """The same, each with the number of its line."""
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        text = _decoded(line.removesuffix(b"\r"), number).lstrip(_SPACE)
        if text and not text.startswith("#"):
            name, sep, value = text.partition("=")
            if not name:
                raise ValueError(f"line {number} has no name before the =")
            if set(name) & set(_BLANK):
                raise ValueError(f"line {number} has a blank in the name")
            yield number, name, value if sep else None


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"line {number} is not UTF-8 text") from None
