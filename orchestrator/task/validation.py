"""What a kind of value is: one parser, one JSON Schema and one phrase for people, kept together; and how kinds are made.

Also the one place where errors of cattrs become sentences.
"""

import re
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic, TypeVar

import cattrs
from attrs import fields, frozen

from orchestrator.task.units import Unit

T = TypeVar("T")
N = TypeVar("N", int, float)
Schema = Mapping[str, object]


@frozen
class Kind(Generic[T]):
    """``parse`` raises ValueError when a value is not ``phrase``; ``schema`` is the same rule as far as JSON Schema can say it.

    A ``private`` value is never repeated in a message, because it may hold a secret.
    """

    phrase: str
    parse: Callable[[object], T]
    schema: Schema
    private: bool = False
    unit: Unit | None = None
    """For amounts."""

    def __call__(self, value: object) -> T:
        """The parsed value. Raises ValueError with a sentence that says what was given and what is allowed."""
        try:
            return self.parse(value)
        except Refused:
            raise
        except (ValueError, TypeError, OverflowError):
            given = f"the {type(value).__name__} given" if self.private else shown(value)
            raise ValueError(f"{given} is not {self.phrase}") from None

    @property
    def placeholder(self) -> str:
        """What stands for a value in the help of a flag."""
        return self.unit.placeholder if self.unit else "VALUE"

    def from_text(self, text: str) -> T:
        """The value that a setting's text stands for. Raises ValueError that says what it has to be."""
        try:
            return self.parse(self.unit.read(text) if self.unit else text)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(self.phrase) from None

    def amount(self, text: str) -> object:
        """What a flag's text is in a document: the text itself when it is no amount, for the check to complain about."""
        try:
            return self.unit.read(text) if self.unit else text
        except ValueError:
            return text

    def show(self, amount: float) -> str:
        """An amount in a sentence."""
        return self.unit.show(amount) if self.unit else shown(amount)


class Refused(ValueError):
    """A value of the right type that is refused; the message is the whole sentence."""


def shown(value: object) -> str:
    """A value as a message repeats it: short, whatever its size and depth."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _SHOWN
    try:
        text = short.repr(value)
    except ValueError:  # Python refuses to print an integer of thousands of digits
        return f"a very large {type(value).__name__}"
    head = text.encode(errors="replace")[:_LONGEST].decode(errors="ignore")
    return text if len(head) == len(text) else f"{head}…"


def sentences(error: cattrs.BaseValidationError, meant: Callable[[type, str], str] = lambda *_: "") -> list[str]:
    """A sentence for each field that is not as it should be, the field first.

    ``meant`` says what an unknown field of a class may be meant to be, or nothing.
    """
    reason = partial(_reason, meant)
    return [_field_first(line) for line in cattrs.transform_error(error, path="", format_exception=reason)]


def _reason(meant: Callable[[type, str], str], error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        unknown, allowed = sorted(map(shown, error.extra_fields)), [field.name for field in fields(error.cl)]
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        hints = [meant(error.cl, name) for name in sorted(map(str, error.extra_fields))[:_NAMED]]
        hint = "".join(f"; {hint}" for hint in hints if hint)
        return f"has unknown fields {', '.join(unknown[:_NAMED])}{more}{hint}; allowed are {', '.join(allowed)}"
    return str(error) if isinstance(error, ValueError) else "is not a map"


def _field_first(line: str) -> str:
    """A line of cattrs ends with ``@ <path>``."""
    reason, _, path = line.rpartition(" @ ")
    return f"{path.lstrip('.') or 'task'}: {reason}"


def text(value: object) -> str:
    """Any string that can be stored and passed to a program: no NUL, no lone surrogate."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # a lone surrogate makes this a UnicodeEncodeError, which is a ValueError
    return value


def matching(pattern: str, longest: int) -> Callable[[object], str]:
    """A parser of strings that match as a whole and have at most ``longest`` characters."""
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        word = text(value)
        if len(word) > longest or not compiled.fullmatch(word):
            raise ValueError
        return word

    return parse


def pattern_schema(pattern: str, longest: int | None = None) -> Schema:
    """The same rule for JSON Schema: ``$`` alone would let a newline follow where Python checks the schema."""
    schema = {"type": "string", "pattern": rf"^(?:{pattern})$(?!\n)"}
    return schema if longest is None else {**schema, "maxLength": longest}


def word(phrase: str, pattern: str, longest: int) -> Kind[str]:
    """Strings of a pattern that Python and JSON Schema read alike."""
    return Kind(phrase, matching(pattern, longest), pattern_schema(pattern, longest))


def number(low: float, parse: Callable[[object], N]) -> Callable[[object], N]:
    """A parser of numbers from ``low`` to below ``TOO_MUCH``."""

    def checked(value: object) -> N:
        parsed = parse(value)
        if not low <= parsed < TOO_MUCH:  # as NaN fails it
            raise ValueError
        return parsed

    return checked


def mapping(name: Kind[str], content: Kind[T]) -> Callable[[object], dict[str, T]]:
    """A parser of maps; it names the entry that is wrong."""

    def parse(given: object) -> dict[str, T]:
        if not isinstance(given, Mapping):
            raise ValueError
        return {
            _part(f"the name {shown(key)}", name, key): _part(f"the value of {shown(key)}", content, value)
            for key, value in given.items()
        }

    return parse


def mapping_schema(name: Kind[str], content: Kind[T]) -> Schema:
    """The same rule for JSON Schema."""
    return {"type": "object", "propertyNames": name.schema, "additionalProperties": content.schema}


def _part(what: str, kind: Kind[T], value: object) -> T:
    try:
        return kind.parse(value)
    except (ValueError, TypeError):
        raise Refused(f"{what} is not {kind.phrase}") from None


TOO_MUCH = 1 << 53
"""No number is as large: up to here every JSON reader keeps whole numbers exact."""
_LONGEST = 400
"""Bytes of a value that a message repeats, of one with many parts."""
_SHOWN = 60
_NAMED = 10
