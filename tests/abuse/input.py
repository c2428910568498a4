"""Hostile documents: every bad field is named and nothing is started."""

from math import inf, nan

from tests.support.abuse_program import Program, Proof, Seen
from tests.support.containers import IMAGE

LIMITS = ("cpus", "memory", "pids", "timeout", "cpu_time", "output", "tmp")


def _names(*fields: str) -> Proof:
    """The message and the evidence name every one of these fields."""

    def proof(seen: Seen) -> str:
        document = seen.document
        assert document["container"] is None
        assert not document["started_at"]
        named = {problem.partition(":")[0] for problem in document["evidence"]["problems"]}
        assert named == {*fields}
        assert all(problem in document["message"] for problem in document["evidence"]["problems"])
        assert len(document["message"]) < _LONGEST
        return f"names {', '.join(sorted(named))}"

    return proof


_LONGEST = 4096


def _refused(does: str, request: dict[str, object], *fields: str) -> Program:
    full = {"image": IMAGE, "command": "echo started", **request}
    return Program("input", does, full, "failed", "invalid", None, "every bad field is named, nothing started", _names(*fields))


def _limits(does: str, value: object, *fields: str) -> Program:
    return _refused(f"limits of {does}", {"limits": dict.fromkeys(LIMITS, value)}, *(f"limits.{name}" for name in fields))


NEARLY = (16 << 20) - 300
_JUNK = {"lease": [5], "engine": {"$ne": 1}, "history": [], "seq": 7, "worker": 5, "published": -1, "metrics": "x"}
INPUT = [
    _limits("0", 0, "cpus", "memory", "pids", "timeout", "cpu_time", "tmp"),
    _limits("-1", -1, *LIMITS),
    _limits("NaN", nan, *LIMITS),
    _limits("infinity", inf, *LIMITS),
    _limits("1e18", 1e18, *LIMITS),
    _limits("a list", [1], *LIMITS),
    _refused("unknown fields", {"limits": {"swap": 1}, "privileged": True, "volumes": ["/:/host"]}, "limits", "task"),
    _refused("a NUL in its command", {"command": ["echo", "a\0b"]}, "command"),
    _refused("a NUL in an environment variable", {"env": {"A": "\0"}}, "env"),
    _refused("an image with a bad name", {"image": "Not An Image"}, "image"),
    _refused("an image that is a path", {"image": "../../etc"}, "image"),
    _refused("an image that is an option", {"image": "--privileged"}, "image"),
    _refused("files that climb out", {"files": {"../../etc/passwd": "x"}}, "files"),
    _refused("root, and a network", {"user": "0", "network": True}, "user", "network"),
    _refused("an id with a slash", {"_id": "../task/1"}, "_id"),
    _refused("an id with a colon and a space", {"_id": "tasks: all"}, "_id"),
    _refused("an id that is a number", {"_id": 4711}, "_id"),
    _refused("keys with dollars and dots", {"$where": "1", "a.b": 1, "env": {"A": {"$gt": ""}}}, "task", "env"),
    _refused("nearly 16 MB below a key with a dollar", {"$x": "x" * NEARLY}, "task"),
    _refused("a status that is a number", {"status": 5}, "status"),
    _refused("running, with a history that is a number", {"status": "running", "history": 5, "seq": 3}, "history"),
    _refused("running, with counts of wrong types", {"status": "running", "seq": "x", "attempt": []}, "seq", "attempt"),
    _refused("junk for lease, engine and history, and no image", {"image": None, **_JUNK}, "image"),
]
