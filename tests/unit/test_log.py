"""Log lines: their two formats, whose task they belong to, and what must not be in them."""

import contextvars
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from orchestrator import log as logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    """Logging belongs to the process: put it back."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    logger.remove()
    root.handlers, threading.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def lines() -> Callable[[], list[dict[str, Any]]]:
    """What was logged as JSON, with ``hunter2`` as a secret."""
    stream = io.StringIO()
    logs.configure(stream, secrets=["hunter2", "mongodb://me:p%40ss-word@db/?x=1", "redis://plain:6379", "no"])
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def in_thread(job: Callable[[], object]) -> None:
    """Run it in a thread of its own to its end."""
    thread = threading.Thread(target=job, name="job x")
    thread.start()
    thread.join()


def test_json_line_is_flat_and_carries_what_was_bound(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Time in UTC, level, message, logger, and extras that cannot forge those."""
    logger.bind(task="t1", bytes=3, level="forged").info("uploaded {}", "stdout")
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"level": "INFO", "message": "uploaded stdout", "logger": __name__, "task": "t1", "bytes": 3}


def test_terminal_gets_lines_for_people_and_json_can_be_asked_for() -> None:
    """The choice follows the stream unless it is made by hand."""
    for stream, wish, readable in [
        (Terminal(), None, True),
        (io.StringIO(), None, False),
        (Terminal(), True, False),
        (io.StringIO(), False, True),
    ]:
        logs.configure(stream, json=wish)
        logger.bind(task="t1").warning("careful")
        assert stream.getvalue().startswith("{") is not readable
        assert ("\x1b[" in stream.getvalue()) is (readable and stream.isatty())
        assert "careful" in stream.getvalue()
        assert "t1" in stream.getvalue()


def test_text_from_outside_cannot_forge_lines_or_talk_to_the_terminal() -> None:
    """Control characters are written out, and what cannot be encoded does not stop the line."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    logs.configure(stream, json=False)
    logger.bind(image="a\rb").info("bad \x1b[2J\nERROR \x9b name \udc80 <red>{x}</red>")
    stream.seek(0)
    text = stream.read()
    assert text.count("\n") == 1
    assert r"bad \x1b[2J\nERROR \x9b name \udc80 <red>{x}</red> image=a\rb" in text


@pytest.mark.parametrize("form", [True, False], ids=["json", "people"])
def test_secrets_are_hidden_in_messages_extras_and_tracebacks(*, form: bool) -> None:
    """Plain secrets, passwords inside URLs that were named, and passwords in URLs that nobody named."""
    stream = io.StringIO()
    logs.configure(stream, json=form, secrets=['hunt"er2', "mongodb://me:p%40ss-word@db/?x=1", "redis://plain:6379", "no"])
    logger.bind(key='hunt"er2').info("p@ss-word p%40ss-word redis://plain:6379 amqp://joe:let-me-in@host/1 no")
    try:
        held = 'hunt"er2'
        raise ValueError(f"refused {held}")  # noqa: TRY301
    except ValueError:
        logger.exception("oh")
    text = stream.getvalue()
    for secret in ("er2", "ss-word", "let-me-in"):
        assert secret not in text
    assert "redis://plain:6379" in text
    assert "amqp://joe:***@host/1 no" in text


def test_standard_library_loggers_and_warnings_come_out_the_same_way(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """With their own name, level and exception; chatty libraries only from their warnings on."""
    logging.getLogger("somebody").info("said %s", 1)
    logging.getLogger("somebody").log(25, "between")
    logging.getLogger("rq.worker").info("chatter")
    logging.getLogger("urllib3.connectionpool").warning("retrying")
    logging.getLogger("rq.worker").warning("trouble")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    try:
        raise KeyError("k")  # noqa: TRY301
    except KeyError:
        logging.getLogger("somebody").exception("broke")
    said = [(line["logger"], line["level"], line["message"]) for line in lines()]
    assert said[:3] == [
        ("somebody", "INFO", "said 1"),
        ("somebody", "Level 25", "between"),
        ("rq.worker", "WARNING", "trouble"),
    ]
    assert said[3][:2] == ("py.warnings", "WARNING")
    assert said[4:] == [("somebody", "ERROR", "broke")]
    assert lines()[4]["exception"].endswith("KeyError: 'k'\n")


def test_task_is_bound_in_its_thread_alone_and_carried_on_request(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Two jobs at once do not mix; a thread that a job starts belongs to the task when it runs in a copy of the context."""

    def job() -> None:
        with logger.contextualize(task="t1"):
            logger.info("own")
            logging.getLogger("library").info("own, by the standard library")
            in_thread(lambda: logger.info("stranger"))
            context = contextvars.copy_context()
            in_thread(lambda: context.run(logger.info, "carried"))

    in_thread(job)
    logger.info("after")
    assert {line["message"]: line.get("task") for line in lines()} == {
        "own": "t1",
        "own, by the standard library": "t1",
        "stranger": None,
        "carried": "t1",
        "after": None,
    }


def test_death_of_a_thread_is_a_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Python would print it raw on stderr."""

    def job() -> None:
        raise RuntimeError("hunter2 went wrong")

    in_thread(job)
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "thread job x died")
    assert "RuntimeError: *** went wrong" in line["exception"]


IMPORTS = """
import sys
from orchestrator import log as logs
from orchestrator.task.document import readable

{ask}
list(readable([{{"_id": "broken"}}]))
"""


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        ("", False),
        ("from loguru import logger; logger.enable('orchestrator')", True),
        ("logs.configure(sys.stderr)", True),
    ],
    ids=["imported", "enabled", "configured"],
)
def test_a_program_that_imports_us_gets_log_lines_only_if_it_asks(ask: str, said: bool) -> None:  # noqa: FBT001
    """A library leaves the program's stderr alone."""
    argv = [sys.executable, "-c", IMPORTS.format(ask=ask)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ("task broken cannot be read" in done.stderr) is said
