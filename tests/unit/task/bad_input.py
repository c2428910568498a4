"""A corpus of task documents that are wrong, each with the fields that must be named; as text where JSON can say it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import inf, nan

from attrs import frozen

from tests.support import junk

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@frozen
class Bad:
    """What is inserted beside ``_id`` and ``status``, and the fields that the message must name; none: it may even run."""

    fields: Mapping[str, object]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return repr(self.fields)[:60]


def _each(name: str, *values: object) -> Iterator[Bad]:
    for value in values:
        yield Bad({name: value}, (name,))


def _limits(name: str, *values: object) -> Iterator[Bad]:
    for value in values:
        yield Bad({"limits": {name: value}}, (f"limits.{name}",))


NUMBERS = (nan, inf, -inf, -1, -0.5, 1 << 53, 1e18, "", "-1", "1e3", "\u0661", "9" * 40, True, [], {}, [1])
CORPUS: tuple[Bad, ...] = (
    *_each(
        "image", "", " ", "Busybox", "a b", "a:b:c", "a@sha256:1", "-rf", "../x", "x" * 600, "a\n", "a\0", 5, [], {}, True, "ä"
    ),
    *_each("command", [], [1], [None], ["a\0"], "a\0", {}, 5, [["a"]], True, junk.nested(50)),
    *_each("command", "x" * (128 << 10), ["a", "\u00e9" * (64 << 10)], ["x" * (100 << 10)] * 20, ["x"] * 200_000),
    *_each(
        "env",
        {"A": "x" * ((128 << 10) - 2)},
        {"\u00e9" * 20_000: "x" * (100 << 10)},
        dict.fromkeys("abcdefghijklmnopqrst", "x" * (100 << 10)),
    ),
    *_each("env", [], "A=B", {"": "x"}, {"A=B": "x"}, {"A": 1}, {"A": None}, {"A": "\0"}, {"A": {"$ne": 1}}, 5),
    *_each("stdin", 5, [], {}, {"base64": 5}, {"base64": "%"}, {"base64": "eQ==", "x": 1}, {"$binary": ""}, True),
    *_each("working_dir", "", "a", "./a", "\0", "/a\0", "/a\nb", 5, [], "/" * 600, "/a/" + "x" * 256, "/" + "\u00e9" * 128),
    *_each("user", "", "root", "-1", "0", "0:0", "1:0", "1:2:3", "9" * 11, "\u0661", 1000, [], "1000\n"),
    *_each("network", 0, 1, "true", "host", [], {}),
    *_each("runtime", "", "a b", "-x", "runsc", "x" * 65, "a\n", "\u00e4", 5, [], {}, True),
    *_each("on_output_limit", "", "END", "drop", "end\n", 5, [], {}, True),
    *_each("files", [], "x", {"/etc/passwd": ""}, {"../x": ""}, {"a/../b": ""}, {"a//b": ""}, {"": ""}, {".": ""}, {"a": 5}),
    *_each("files", {"a": "", "a/b": ""}, {"x" * 300: ""}, {"a": {"base64": "?"}}, {"a": "x" * (5 << 20)}),
    *_each(
        "artifacts", "a", {}, 5, True, [5], [None], [""], ["/a"], ["../a"], ["a/.."], ["a//b"], ["a\0"], ["x" * 600], ["a", "a"]
    ),
    *_each("retries", -1, 11, 0.5, "1", nan, inf, True, []),
    *_each("keep", -1, "-1", "long", "1w", 1e9, nan, inf, True, [], {}),
    *_each("labels", [], "x", {"a": 1}, {"a": "\0"}, {"a": {}}),
    *_each("limits", [], "x", 5, True, {"swap": 1}, {"": 1}, {"$gt": 1}),
    *(
        bad
        for name in ("cpus", "memory", "pids", "timeout", "cpu_time", "output", "tmp", "artifacts")
        for bad in _limits(name, *NUMBERS)
    ),
    *_limits("memory", 0, 1, "5m", "1t", "5 gigs"),
    *_limits("cpus", 0, 0.001, 65, "1"),
    *(Bad({name: 1}, ("task",)) for name in ("priority", "$where", "a.b", "$set", "", " ", "privileged", "__proto__", "Image")),
)
"""Documents whose owner's fields are wrong; ``image`` is right unless it is given."""
FOREIGN: tuple[Bad, ...] = (
    *_each("status", 5, "", "done", "RUNNING", [], {}, ["queued"], True, nan, NOON),
    *(Bad({"status": "running", **bad.fields}, bad.names) for bad in (
        *_each("seq", "1", -1, 0.5, nan, inf, [], {}, True),
        *_each("attempt", "1", -1, 1.5, [], {}),
        *_each("published", "1", -1, 1.5, [], {}),
        *_each("history", 5, "x", {}, [5], [{}], [{"seq": 1}], junk.nested(50)),
        *_each("attempts", 5, "x", [5], [{}]),
        *_each("lease", {}, 5, "x", [], {"token": "a"}, {"worker": 1, "token": "t", "expires_at": "soon"}),
        *_each("container", "x", {}, {"id": 1, "name": "a", "engine": "b"}),
        *_each("engine", [], {}),
        *_each("cause", 5, "boredom", []),
        *_each("exit_code", "0", 1.5, True),
        *_each("message", 5, []),
        *_each("evidence", 5, [], "x"),
        *_each("logs", {}, [], "x"),
        *_each("artifacts_stored", 5, "x", [5], [{}], {}),
        *_each("artifacts_refused", 5, "x", [5], [{"path": 1, "why": ""}]),
        *_each("metrics", {}, {"samples": 1, "duration_s": "2"}),
    )),
)  # fmt: skip
"""Documents whose worker's fields no worker wrote. A lease is overwritten by the claim, so it is not named."""
IDS = (
    "a", "A", "a-1", "a-1-1", "a-1-files", "a_1", "a.1", "a/1", "a//1", "../a", "a 1", " a", "a ", "a:1", "tasks:a", "a\n",
    "a\0b", "\u00e4", "a\u0308", "\u0430", "a\u200b", "a*", "a?", "[a]", "a%2F1", "a\\1", "", ".", "..", "-a", "_a",
    "orchestrator-a-1", "x" * 128, "x" * 129, "x" * 5000, "1", "01", "1.0", "None", "true",
)  # fmt: skip
"""Ids of every kind that may end up in names, labels, channels and object keys."""
STRANGE_IDS = (5, 1.5, True, b"a", NOON, {"a": 1}, {}, {"a": {"b": [NOON]}}, {"$ref": "tasks", "$id": {"a": 1}})
"""Ids that are no string; the database takes them. Some cannot be hashed."""
