"""One hostile program: what it does, how it has to end, and what proves that it was held."""

from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any

from attrs import field, frozen

from tests.support import pace
from tests.support.containers import IMAGE

PYTHON = "orchestrator-python:1"
TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108  inside the container
GRACE = pace.seconds(2.0)
"""Seconds between TERM and KILL in the worker of the suite; one more is allowed, and one for each that waits for a CPU.

Seconds here and in the table are those of a usual machine."""


@frozen
class Seen:
    """What is left of a task when it has ended: its document and its output.

    ``crowd`` is how many processes wanted each CPU of the host then, 1 when none had to wait.
    """

    document: Mapping[str, Any]
    stdout: bytes
    stderr: bytes
    crowd: float = 1.0

    @property
    def lines(self) -> list[str]:
        """What it printed."""
        return self.stdout.decode().splitlines()

    @property
    def ran_for(self) -> float:
        """Seconds from start to end by the engine's clock."""
        return self.document["evidence"]["ran_for_s"]


Proof = Callable[[Seen], str]
"""Asserts what has to hold beside the ending, and says in words what was found."""


def no_more(seen: Seen) -> str:  # noqa: ARG001
    """The ending is all there is to see."""
    return ""


@frozen
class Program:
    """A row of the table. ``code`` None stands for any; ``must`` says in words what the proof asserts."""

    group: str
    does: str
    request: Mapping[str, object]
    status: str = "succeeded"
    cause: str | None = None
    code: int | None = 0
    must: str = ""
    proof: Proof = no_more
    ended_by: str | None = None
    inexact: str = ""

    @property
    def name(self) -> str:
        """Tells it from the others."""
        return f"{self.group}: {self.does}"

    def check(self, seen: Seen) -> str:
        """Assert the ending and the proof; the proof's words."""
        document = seen.document
        assert (document["status"], document["cause"]) == (self.status, self.cause), document["message"]
        assert self.code is None or document["exit_code"] == self.code, document["message"]
        assert document["message"]
        assert document["attempt"] in {0, 1}, "it was tried again"
        assert document["evidence"].get("ended_by") == (self.ended_by or _ENDED_BY[self.cause])
        return self.proof(seen)


def named_full(seen: Seen, folder: str) -> str:
    """Where its control groups can be read its folders can be seen, and the evidence names the one that was full."""
    exact = seen.document["metrics"]["source"].get("memory_peak_bytes") in {"cgroup v1", "cgroup v2"}
    assert not exact or seen.document["evidence"]["disk_full"] == [folder]
    return f"{folder} was full at its end" if exact else "its folders cannot be seen here"


def shell(script: str, **more: object) -> dict[str, object]:
    """A request for a shell script on busybox."""
    return {"image": IMAGE, "command": dedent(script).strip(), **_limited(more)}


def python(script: str, **more: object) -> dict[str, object]:
    """A request for a Python program."""
    return {"image": PYTHON, "command": ["python3", "-c", dedent(script)], **_limited(more)}


def argv(*command: str) -> dict[str, object]:
    """A request for a command without a shell."""
    return {"image": IMAGE, "command": list(command)}


def _limited(given: Mapping[str, Any]) -> dict[str, object]:
    """Half a CPU each, for they run side by side; limits may be given like the other fields."""
    limits = {name: given[name] for name in given.keys() & _LIMITS}
    rest = {name: value for name, value in given.items() if name not in limits}
    return {**rest, "limits": {"cpus": 0.5, **limits, "timeout": pace.seconds(given.get("timeout", 30))}}


_ENDED_BY = {
    None: "program", "exit": "program", "signal": "program", "oom": "kernel", "timeout": "worker", "output_limit": "worker",
    "invalid": None,
}  # fmt: skip
_LIMITS = frozenset({"cpus", "memory", "pids", "timeout", "cpu_time", "output", "tmp"})


@frozen
class Ran:
    """A program that was run: what was seen, how long it took from insert to end, and the worker's memory (PSS, bytes)."""

    program: Program
    seen: Seen
    seconds: float
    before: int
    after: int
    left: list[str] = field(factory=list)
    next_saw: str = ""
