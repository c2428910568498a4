"""The programs of the demo and how each has to end."""

from attrs import field, frozen

from orchestrator.cause import Cause
from orchestrator.cli.terminal import printable
from orchestrator.client import Client
from orchestrator.errors import UnknownTask
from orchestrator.ports import Stream
from orchestrator.task.document import Task
from statemachine import State

IMAGE = "orchestrator-busybox:1"
_PRIMES = "awk 'BEGIN {n=500000; for (i=2; i<=n; i++) if (!c[i]) {p++; for (j=i*i; j<=n; j+=i) c[j]=1}; print p, \"primes\"}'"
_UNHURRIED = {"timeout": "10m"}
"""On a slow machine a minute, which a task has by itself, may be over before its program has begun."""


@frozen
class Ending:
    """How a task has to end; an exit code of None may be any. ``says`` is the first line of its output."""

    status: State
    cause: Cause | None = None
    exit_code: int | None = None
    says: str = ""


@frozen
class Program:
    """One task of the demo: what it does in words, its request, its ending."""

    name: str
    words: str
    script: str
    ending: Ending
    image: str = IMAGE
    limits: dict[str, object] = field(factory=dict)
    more: dict[str, object] = field(factory=dict)

    @property
    def request(self) -> dict[str, object]:
        """What is submitted."""
        return {"image": self.image, "command": self.script, **self.more, "limits": {**_UNHURRIED, **self.limits}}

    def surprise(self, client: Client, task: Task) -> str:
        """What is not as it has to be about the finished task; empty when all is well."""
        found = Ending(task.status, task.cause, self.ending.exit_code and task.exit_code, first_line(client, task))
        return "" if found == self.ending else f"{self.name}: {found} instead of {self.ending}; {task.message}"


def first_line(client: Client, task: Task) -> str:
    """The first line that the program wrote, to stdout or else to stderr; empty when it wrote none, or none is stored."""
    for stream in Stream:
        try:
            start = next(client.logs(task.id, stream), b"")
        except UnknownTask:
            return ""
        if start:
            return printable(start.split(b"\n")[0].decode(errors="replace"))
    return ""


PROGRAMS = (
    Program("primes", "computes for a while", _PRIMES, Ending(State.SUCCEEDED, None, 0, "41538 primes")),
    Program(
        "hang",
        "prints, then hangs",
        "echo still working; sleep 999",
        Ending(State.TIMED_OUT, Cause.TIMEOUT, None, "still working"),
        limits={"timeout": "3s"},
    ),
    Program("exit", "gives up", "echo cannot go on >&2; exit 3", Ending(State.FAILED, Cause.EXIT, 3, "cannot go on")),
    Program("crash", "dies of a signal", "echo uh-oh; kill -SEGV $$", Ending(State.FAILED, Cause.SIGNAL, 139, "uh-oh")),
    Program(
        "memory",
        "wants more memory than 32 MiB",
        "echo filling memory; tail /dev/zero",
        Ending(State.FAILED, Cause.OOM, 137, "filling memory"),
        limits={"memory": "32m"},
    ),
    Program(
        "flood",
        "prints without end",
        "yes flood",
        Ending(State.FAILED, Cause.OUTPUT_LIMIT, None, "flood"),
        limits={"output": "256k"},
    ),
    Program(
        "files",
        "reads stdin and a file",
        "read who; echo $who meets $(wc -l < /task/names.txt) people",
        Ending(State.SUCCEEDED, None, 0, "Linus meets 3 people"),
        more={"stdin": "Linus\n", "files": {"names.txt": "Ada\nGrace\nEdsger\n"}},
    ),
    Program("image", "has an image that is not there", "true", Ending(State.FAILED, Cause.IMAGE), image="no-such-image:1"),
)
