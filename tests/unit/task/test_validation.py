"""Each kind reads what it says it reads, refuses the rest in a sentence, and never breaks."""

import math

import pytest
from hypothesis import given

from orchestrator.task import fields as kinds
from orchestrator.task.validation import Kind, shown
from tests.support import junk

EVERY = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, Kind)} | {"size": kinds.size(4096)}
SHA = "sha256:" + "0" * 64


def complaint(kind: Kind[object], value: object) -> str | None:
    """Why the kind refuses the value; None when it does not."""
    try:
        kind(value)
    except ValueError as error:
        return str(error)
    return None


@given(junk.values)
def test_any_value_is_read_or_refused_in_a_short_sentence(value: object) -> None:
    """Nothing but a ValueError comes out of any kind, and its message can be printed, stored and published."""
    for kind in EVERY.values():
        sentence = complaint(kind, value)
        assert sentence is None or " is not " in sentence or " is given " in sentence
        assert len((sentence or "").encode()) < 600


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (kinds.ID, "a", "a"),
        (kinds.ID, "A_b.c-1" + "x" * 121, "A_b.c-1" + "x" * 121),
        (kinds.IMAGE, "busybox", "busybox"),
        (kinds.IMAGE, "python:3.12-slim", "python:3.12-slim"),
        (kinds.IMAGE, f"registry.example:5000/team/a__b.c--d:V_1.0@{SHA}", f"registry.example:5000/team/a__b.c--d:V_1.0@{SHA}"),
        (kinds.IMAGE, "[::1]:5000/a", "[::1]:5000/a"),
        (kinds.IMAGE, "[2001:db8::1]/team/a:1", "[2001:db8::1]/team/a:1"),
        (kinds.IMAGE, f"a:1@sha512:{'0' * 128}", f"a:1@sha512:{'0' * 128}"),
        (kinds.IMAGE, f"a@sha384:{'0' * 96}", f"a@sha384:{'0' * 96}"),
        (kinds.ENTRYPOINT, "a b", ("a b",)),
        (kinds.ENTRYPOINT, ["a", ""], ("a", "")),
        (kinds.ENTRYPOINT, "", ()),
        (kinds.ENTRYPOINT, [], ()),
        (kinds.USER, "1000", "1000"),
        (kinds.USER, "0:65534", "0:65534"),
        (kinds.FOLDER, "/", "/"),
        (kinds.FOLDER, "/srv/data set", "/srv/data set"),
        (kinds.FOLDER, "/" + "x" * 255 + "/a", "/" + "x" * 255 + "/a"),
        (kinds.FLAG, False, False),
        (kinds.COMMAND, "echo $HOME", ("sh", "-c", "echo $HOME")),
        (kinds.COMMAND, ["echo", ""], ("echo", "")),
        (kinds.COMMAND, ["x" * kinds.LONGEST_STRING], ("x" * kinds.LONGEST_STRING,)),
        (kinds.ENV, {"A": "x" * (kinds.LONGEST_STRING - 2)}, {"A": "x" * (kinds.LONGEST_STRING - 2)}),
        (kinds.CONTENT, "é\0", b"\xc3\xa9\0"),
        (kinds.CONTENT, b"\xff", b"\xff"),
        (kinds.CONTENT, {"base64": "/w=="}, b"\xff"),
        (kinds.CONTENT, {"base64": ""}, b""),
        (kinds.FILES, {"a/b.py": "x", "a/c": {"base64": "eQ=="}}, {"a/b.py": b"x", "a/c": b"y"}),
        (kinds.FILES, {"..a/.b": "", "a\nb": ""}, {"..a/.b": b"", "a\nb": b""}),
        (kinds.ENV, {"A": "", "b c": "=\n"}, {"A": "", "b c": "=\n"}),
        (kinds.LABELS, {"": "x"}, {"": "x"}),
        (kinds.CPUS, 1, 1.0),
        (kinds.CPUS, 0.5, 0.5),
        (kinds.POSITIVE, 3.0, 3),
        (kinds.RETRIES, 0, 0),
        (kinds.SECONDS, "1m", 60.0),
        (kinds.size(0), 0, 0),
        (kinds.size(0), "1k", 1024),
    ],
)
def test_good_value_is_read(kind: Kind[object], value: object, parsed: object) -> None:
    """One example or more of each kind, at the edges of what is allowed."""
    assert kind(value) == parsed
    assert type(kind(value)) is type(parsed)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (kinds.ID, ["", ".a", "-a", "a/b", "a b", "a\n", "é", "\u0661", "a" * 129, 5, None, "a\0", "a:b"]),
        (
            kinds.IMAGE,
            [
                "",
                "A",
                "a b",
                "a:",
                "a@sha256:0",
                "a//b",
                "/a",
                "a/",
                "-a",
                "a\n",
                "a:\u0661",
                "a" * 513,
                "a:b:c",
                "[::1]",
                "[::g]/a",
                "a@sha512:" + "0" * 64,
            ],
        ),
        (kinds.USER, ["root", "", "1:", ":1", "1:2:3", "-1", "\u0661", "1\n", 1000, "1" * 11]),
        (kinds.FOLDER, ["", "a", "/a\n", "/\0", "/" + "a" * 512, ["/"]]),
        (kinds.FLAG, [0, 1, "true", None, []]),
        (kinds.COMMAND, ["\0", [], {}, [1], [None], "\ud800", ["a\0"], b"a", {"a": 1}, 5]),
        (kinds.ENTRYPOINT, ["\0", {}, [1], [None], "\ud800", ["a\0"], b"a", {"a": 1}, 5]),
        (kinds.CONTENT, [5, {}, {"base64": 5}, {"base64": "?"}, {"base64": "eQ"}, {"base64": "eQ==", "a": 1}, "\ud800", ["a"]]),
        (kinds.FILES, [{"": ""}, {"/a": ""}, {"a/": ""}, {"a//b": ""}, {"..": ""}, {"a/../b": ""}, {"./a": ""}, {"a\0": ""}]),
        (kinds.FILES, [{"a": 5}, {5: "a"}, {"a": "", "a/b": ""}, {"x" * 513: ""}, {"é" * 200: ""}, [], "a", {"\ud800": ""}]),
        (kinds.ENV, [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "\0"}, {"A": 5}, {5: "A"}, {"A": None}, ["A=B"], "A=B"]),
        (kinds.LABELS, [{"a": 1}, {1: "a"}, {"a": "\0"}, {"\ud800": "a"}, [], "a"]),
        (kinds.CPUS, [0, 0.009, -1, math.nan, math.inf, 1e18, 10**400, True, "1", None]),
        (kinds.POSITIVE, [0, -1, 1.5, math.nan, math.inf, 1e18, 10**400, True, "1", None]),
        (kinds.SECONDS, [0, 0.0001, -1, math.nan, math.inf, 1e18, 10**400, True, "0s", "x", None]),
        (kinds.size(4096), [0, 4095, -1, math.nan, math.inf, 1e18, 2**53, 10**400, True, "1k", "x", 4096.5, None]),
    ],
)
def test_bad_value_is_refused(kind: Kind[object], bad: list[object]) -> None:
    """Wrong types, wrong forms, too small, too large, too long."""
    assert [shown(value) for value in bad if complaint(kind, value) is None] == []


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (kinds.IMAGE, "Busy box", "'Busy box' is not an image reference such as python:3.12-slim"),
        (kinds.ENV, {"A": "x", "B": 5}, "the value of 'B' is not a string without NUL"),
        (kinds.FILES, {"a/../b": ""}, "the name 'a/../b' is not a relative path without empty, '.' or '..' parts"),
        (kinds.FILES, {"a/b": "", "a/b/c/d": ""}, "'a/b' is given both as a file and as a folder"),
        (
            kinds.COMMAND,
            ["a", "x" * (128 << 10)],
            "a string of 131072 bytes is above the 131071 that Linux starts a program with",
        ),
        (
            kinds.ENV,
            {"A": "x" * 131070},
            "'A' with its value of 131072 bytes is above the 131071 that Linux starts a program with",
        ),
        (kinds.FOLDER, "/a/" + "x" * 256, "a part of 256 bytes is above the 255 that a file system allows"),
        (kinds.FILES, [], "the list given is not a map of relative paths to text or {base64: …}"),
    ],
)
def test_message_says_what_was_given_and_what_is_allowed(kind: Kind[object], value: object, sentence: str) -> None:
    """Of a map it names the entry that is wrong."""
    assert complaint(kind, value) == sentence


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kinds.ENV, ["PASSWORD=hunter2"]),
        (kinds.ENV, {"PASSWORD": "hunter2", "A": 1}),
        (kinds.ENV, {"PASSWORD": "hunter2\0"}),
        (kinds.CONTENT, ["hunter2"]),
        (kinds.FILES, {"a": ["hunter2"]}),
        (kinds.FILES, ["hunter2"]),
    ],
)
def test_message_keeps_what_may_be_secret_to_itself(kind: Kind[object], value: object) -> None:
    """Values of environment variables, standard input and files never get into a message, which is stored and published."""
    sentence = complaint(kind, value)
    assert sentence
    assert "hunter2" not in sentence


LARGE = {"text": "x" * 10_000_000, "list": ["x" * 100] * 1000, "deep": junk.nested(100_000), "number": 10**5000}


@pytest.mark.parametrize("name", LARGE)
def test_shown_is_short(name: str) -> None:
    """However long, deep or odd the value is."""
    assert len(shown(LARGE[name])) < 600
