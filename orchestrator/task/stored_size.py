"""How large a document is where it is stored, as BSON. It knows no database."""

from collections.abc import Mapping

_HEAD = 2
"""Bytes of a field beside name and value: its type, and the end of its name."""
_VALUE = 16
"""At least the bytes of a value of fixed size, such as a number or a date."""


def size_of(value: object) -> int:
    """Bytes of a document or a value; of a value of fixed size somewhat more."""
    match value:
        case str():
            return 5 + _encoded(value)
        case bytes():
            return 5 + len(value)
        case Mapping():
            return 5 + sum(_HEAD + _encoded(str(name)) + size_of(each) for name, each in value.items())
        case list() | tuple():
            return 5 + sum(_HEAD + len(str(place)) + size_of(each) for place, each in enumerate(value))
    return _VALUE


def _encoded(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
