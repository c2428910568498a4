"""The published JSON Schema accepts what a worker accepts and refuses what it refuses, but for what a schema cannot say."""

import json
import operator
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.errors import InvalidTask
from orchestrator.task.document import Task
from orchestrator.task.limits import Limits
from orchestrator.task.request import Rules, parse_request
from orchestrator.task.schema import task_schema
from tests.support import junk
from tests.support.tasks import finished
from tests.unit.task.test_document import stored

PUBLISHED = Path(__file__).parents[3] / "docs" / "task.schema.json"
VALIDATOR = Draft202012Validator(task_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
ENDLESS = Limits(**dict.fromkeys(junk.LIMITS, 1 << 60))
GENEROUS = Rules(
    ceilings=ENDLESS, network_allowed=True, root_allowed=True, retries_max=1 << 60, files_max=1 << 60, runtimes=None
)
NOT_FOR_A_SCHEMA = re.compile(
    r"is not a size of \d+ bytes|is not a time of|both as a file and as a folder|is not a relative path|\\ud[89a-f]|text, or"
)
"""Small amounts written as text, files in each other's way, names longer than a file system allows, lone surrogates."""


def problems(document: dict[str, object], rules: Rules = GENEROUS) -> tuple[str, ...]:
    """What the worker says about a document."""
    try:
        parse_request(str(document["_id"]), Task.from_document(document).request, rules)
    except InvalidTask as invalid:
        return invalid.problems
    return ()


WORKERS = {*task_schema()["properties"]} - {*junk.NAMES}


def inserted(**fields: object) -> dict[str, object]:
    """A document as its owner inserts it."""
    return {"_id": "t1", "status": "queued", "image": "busybox", **fields}


def as_json(document: dict[str, object]) -> dict[str, object]:
    """What is left after a journey as JSON; nothing but JSON can be held against a schema."""
    return json.loads(json.dumps(document, default=datetime.isoformat))


def test_published_file_is_in_step() -> None:
    """It is what the code makes of it."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == task_schema()


def test_schema_is_a_schema() -> None:
    """By its own standard."""
    Draft202012Validator.check_schema(task_schema())


def test_stored_task_fits() -> None:
    """A document with every field that the worker writes, written as JSON."""
    VALIDATOR.validate(as_json(stored(finished())))


def test_every_field_is_described() -> None:
    """And no other is allowed."""
    properties = task_schema()["properties"]
    assert {*junk.NAMES, *stored(finished())} == {*properties}


@given(junk.plausible)
def test_what_the_worker_accepts_fits(document: dict[str, object]) -> None:
    """Whatever it is."""
    assert problems(inserted() | document) == ()
    VALIDATOR.validate(inserted() | document)


@given(junk.documents)
def test_what_the_worker_accepts_of_junk_fits(document: dict[str, object]) -> None:
    """The few times that it does; what an owner writes where only workers do, they do not even read."""
    assume(not document.keys() & WORKERS)
    try:
        whole = as_json(inserted() | document)
    except (TypeError, ValueError, RecursionError):
        assume(condition=False)
    if not problems(whole):
        VALIDATOR.validate(whole)


@given(junk.documents | st.builds(operator.or_, junk.plausible, junk.documents))
def test_what_fits_is_accepted_by_the_worker(document: dict[str, object]) -> None:
    """Unless for one of the few reasons that a schema cannot know."""
    try:
        whole = as_json(inserted() | document)
        fits = VALIDATOR.is_valid(whole)
    except (TypeError, ValueError, RecursionError):
        assume(condition=False)
    if fits:
        assert [problem for problem in problems(whole) if not NOT_FOR_A_SCHEMA.search(problem)] == []


GOOD = [
    {},
    {"command": "true"},
    {"command": ["echo", ""]},
    {"env": {"A": ""}, "labels": {"a.b": "$"}},
    {"stdin": "x", "files": {"a/b": {"base64": "eQ=="}, "c": "\0"}},
    {"working_dir": "/", "user": "0:0", "network": True},
    {"limits": {"cpus": 1, "memory": "128m", "pids": 3.0, "timeout": "1h30m", "output": 0, "tmp": 4096}},
    {"limits": None, "command": None, "created_at": "2026-01-01T00:00:00Z"},
]
BAD = [
    {"image": None},
    {"image": "Busy box"},
    {"_id": "a/b"},
    {"_id": "a\n"},
    {"status": "done"},
    {"command": []},
    {"command": [1]},
    {"command": "\0"},
    {"command": "x" * (128 << 10)},
    {"env": {"A": "x" * (128 << 10)}},
    {"env": ["A=B"]},
    {"env": {"A=B": "x"}},
    {"env": {"A": 1}},
    {"stdin": {"base64": "?"}},
    {"stdin": 5},
    {"working_dir": "srv"},
    {"user": "root"},
    {"network": "yes"},
    {"files": {"/a": "x"}},
    {"files": {"a/../b": "x"}},
    {"files": {"a": {"base64": "eQ==", "mode": 1}}},
    {"labels": {"a": None}},
    {"retries": -1},
    {"retries": 0.5},
    {"keep": -1},
    {"keep": "for ever"},
    {"keep": 1e9},
    {"limits": []},
    {"limits": {"cpus": 0}},
    {"limits": {"cpus": "1"}},
    {"limits": {"memory": 1}},
    {"limits": {"memory": "lots"}},
    {"limits": {"memory": 1e18}},
    {"limits": {"pids": 1.5}},
    {"limits": {"timeout": 0}},
    {"limits": {"timeout": "1w"}},
    {"limits": {"output": -1}},
    {"limits": {"swap": 1}},
    {"priority": 1},
    {"$where": "1"},
]
SCHEMA_ONLY = [
    {"seq": "0"},
    {"cause": "boredom"},
    {"history": {}},
    {"created_at": 5},
    {"limits": {"memory": None}, "logs": "x"},
]
WORKER_ONLY = [
    {"limits": {"memory": "1k"}},
    {"limits": {"timeout": "0s"}},
    {"limits": {"cpus": 2}},
    {"retries": 11},
    {"files": {"a": "", "a/b": ""}},
    {"files": {"é" * 200: ""}},
    {"working_dir": "/" + "é" * 200},
    {"command": ["é" * (64 << 10)]},
    {"env": {"A": "x" * ((128 << 10) - 2)}},
    {"command": ["x"] * 200_000},
    {"files": {"a": "x" * 5_000_000}},
    {"network": True},
    {"user": "0"},
]


@pytest.mark.parametrize("fields", GOOD, ids=str)
def test_good_document_fits_and_is_accepted(fields: dict[str, object]) -> None:
    """Both say yes."""
    VALIDATOR.validate(inserted(**fields))
    assert problems(inserted(**fields)) == ()


@pytest.mark.parametrize("fields", BAD, ids=lambda fields: str(fields)[:60])
def test_bad_document_is_refused_by_both(fields: dict[str, object]) -> None:
    """Both say no."""
    assert not VALIDATOR.is_valid(inserted(**fields))
    assert problems(inserted(**fields))


@pytest.mark.parametrize("fields", WORKER_ONLY, ids=lambda fields: str(fields)[:60])
def test_some_things_only_the_worker_can_say(fields: dict[str, object]) -> None:
    """These fit the schema, and the worker's own rules refuse them."""
    VALIDATOR.validate(inserted(**fields))
    assert problems(inserted(**fields), Rules())


@pytest.mark.parametrize("fields", SCHEMA_ONLY, ids=str)
def test_nonsense_in_the_worker_s_fields_does_not_fit(fields: dict[str, object]) -> None:
    """The worker itself ignores it in a fresh task, rather than lose the task."""
    assert not VALIDATOR.is_valid(inserted(**fields))
    assert problems(inserted(**fields)) == ()
