"""Log lines: loguru's and the standard library's, in one format on one stream, without secrets. It knows no task.

What belongs to a task is bound by ``logger.contextualize(task=…)``. A thread begins with an empty context: one that is started
inside such a block logs for the task only when its target runs in ``contextvars.copy_context()``.

A program that imports this package gets none of its lines; ``logger.enable("orchestrator")`` after the imports turns them on.
Every module takes ``logger`` from here, so that this holds.
"""

import json as codec
import logging
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote

from loguru import logger

from orchestrator.urls import secrets as passwords

if TYPE_CHECKING:
    from loguru import Message, Record

__all__ = ["configure", "logger"]

logger.disable("orchestrator")
_CHATTY = {
    "docker": logging.WARNING,
    "pymongo": logging.WARNING,
    "rq": logging.WARNING,
    "rq.job": logging.WARNING,
    "rq.registry": logging.WARNING,
    "rq.worker": logging.WARNING,  # RQ gives its loggers levels of their own on import
    "transitions": logging.WARNING,
    "urllib3": logging.ERROR,  # it warns of each retry; the caller tells of the last
}
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORTEST_SECRET = 4


def configure(stream: TextIO | None, *, json: bool | None = None, level: str = "INFO", secrets: Iterable[str] = ()) -> None:
    """Send every log line of the process to ``stream`` and nowhere else, this package's lines too; may be called again.

    ``json`` None means lines for people in a terminal and JSON otherwise. ``secrets`` never appear: plain values, or URLs, of
    which the password is hidden. Call it before RQ's worker is made. ``stream`` None means nowhere: `sys.stderr` is
    None in a process that began without stderr.
    """
    logger.remove()
    logger.enable("orchestrator")
    if stream is not None:
        write = _sink(stream, json=json, hide=_hider(secrets))
        # diagnose would print the values of variables, secrets among them
        logger.add(write, level=level, format="{message}", backtrace=False, diagnose=False)
    _intercept()


def _sink(stream: TextIO, *, json: bool | None, hide: Callable[[str], str]) -> "Callable[[Message], None]":
    readable = stream.isatty() if json is None else not json
    format_line = _line_for_people(colour=readable and stream.isatty()) if readable else _line_of_json

    def write(message: "Message") -> None:
        text = hide(format_line(message.record))
        stream.write(text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8") + "\n")
        stream.flush()

    return write


def _line_of_json(record: "Record") -> str:
    line: dict[str, object] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name,
        "message": record["message"],
        "logger": record["name"],
    }
    if trace := _trace(record):
        line["exception"] = trace
    return codec.dumps({**line, **{key: value for key, value in record["extra"].items() if key not in line}}, default=str)


def _line_for_people(*, colour: bool) -> "Callable[[Record], str]":
    def format_line(record: "Record") -> str:
        tint, plain = (_TINTS.get(record["level"].name, ""), "\x1b[0m") if colour else ("", "")
        extra = "".join(f" {key}={value}" for key, value in record["extra"].items())
        words = _CONTROL.sub(lambda match: ascii(match[0])[1:-1], f"{record['message']}{extra}")
        line = f"{record['time']:HH:mm:ss.SSS} {tint}{record['level'].name:<8}{plain}{words}"
        rows = (_CONTROL.sub(lambda match: ascii(match[0])[1:-1], row) for row in _trace(record).splitlines())
        return line + "".join(f"\n{row}" for row in rows)

    return format_line


_TINTS = {"DEBUG": "\x1b[2m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}


def _trace(record: "Record") -> str:
    raised = record["exception"]
    return "" if raised is None else "".join(traceback.format_exception(raised.type, raised.value, raised.traceback))


def _hider(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that puts stars over secrets, as they are and as JSON writes them, and over any password in a URL."""
    words = {form for secret in secrets for word in _words(secret) for form in (word, codec.dumps(word)[1:-1])}
    known = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)")
    return lambda text: _PASSWORD_IN_URL.sub(r"\1:***@", known.sub("***", text))


def _words(secret: str) -> Iterator[str]:
    """What is secret in it. A word of three letters is not hidden: it would tear holes into every line."""
    for password in passwords(secret) if "://" in secret else [secret]:
        if len(password) >= _SHORTEST_SECRET:
            yield password
            yield unquote(password)


def _intercept() -> None:
    logging.basicConfig(handlers=[_Intercept()], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(level)
    threading.excepthook = _uncaught


class _Intercept(logging.Handler):
    """Hands what the standard library's loggers say to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in _STANDARD else record.levelno
        named = logger.patch(lambda line: line.update({"name": record.name}))
        named.opt(exception=record.exc_info).log(level, record.getMessage())


_STANDARD = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _uncaught(raised: threading.ExceptHookArgs) -> None:
    name = raised.thread.name if raised.thread else "?"
    exception = (raised.exc_type, raised.exc_value or raised.exc_type(), raised.exc_traceback)
    if raised.exc_type is not SystemExit:
        logger.opt(exception=exception).error("thread {} died", name)
