"""Programs whose every byte is known beforehand, so that what was stored of them can be compared.

For how long they run is in seconds of a usual machine; on a slow one they run longer, as everything does.
"""

from collections.abc import Collection, Mapping

from attrs import evolve, field, frozen

from statemachine import State
from tests.support import pace


@frozen
class Program:
    """A shell script, what it writes to each stream from its first byte, and how its task is to end.

    ``status`` None: any ending will do; ``also`` are causes of a failure that will do, too. ``out`` is what it leaves in /out,
    by path. All that it writes is out when it ends by itself, or by force for one of the causes in ``whole``. ``cut`` says that
    its log is to be marked truncated, for the fault leaves no room for it.
    """

    script: str
    stdout: bytes
    stderr: bytes = b""
    status: str | None = "succeeded"
    cause: str | None = None
    out: Mapping[str, bytes] = field(factory=dict)
    also: Collection[str] = ()
    whole: Collection[str] = ()
    cut: bool = False


def talker(seconds: float = 1.5, code: int = 0, pause: float = 0.1) -> Program:
    """Says when it starts, then a line every ``pause`` seconds, at last something without a newline; exits with ``code``."""
    lines = round(seconds / pause)
    loop = f"i=0; while [ $i -lt {lines} ]; do echo line $i; usleep {round(pace.seconds(pause) * 1e6)}; i=$((i+1)); done"
    script = f"echo started; {loop}; echo trouble >&2; printf the-end; exit {code}"
    said = "started\n" + "".join(f"line {number}\n" for number in range(lines)) + "the-end"
    if code:
        return Program(script, said.encode(), b"trouble\n", "failed", "exit")
    return Program(script, said.encode(), b"trouble\n")


def keeper(seconds: float = 1.5) -> Program:
    """As ``talker``, and leaves files in /out: one from its beginning, one from its end."""
    program = talker(seconds)
    script = f"mkdir /out/d; echo early >/out/d/early; {program.script.removesuffix('; exit 0')}; echo late >/out/late"
    return evolve(program, script=script, out={"d/early": b"early\n", "late": b"late\n"})


def sleeper(seconds: float = 60.0, status: str | None = None, cause: str | None = None) -> Program:
    """Says that it starts, and sleeps; before any deadline it has said so."""
    return Program(f"echo started; sleep {pace.seconds(seconds)}", b"started\n", b"", status, cause, whole={"timeout"})


def stubborn() -> Program:
    """Says that it starts, ignores SIGTERM, and never ends."""
    return Program("trap '' TERM; echo started; while :; do sleep 1; done", b"started\n", b"", None, whole={"timeout"})


def flood(size: int) -> Program:
    """Writes ``size`` bytes as fast as it can: a numbered line each time."""
    line = "0123456789abcdef" * 63 + "fedcba9876543\n"
    count = size // (len(line) + 8)
    script = f"echo started; i=0; while [ $i -lt {count} ]; do printf '%07d {line[:-1]}\\n' $i; i=$((i+1)); done"
    said = "started\n" + "".join(f"{number:07d} {line}" for number in range(count))
    return Program(script, said.encode())


def printer(size: int, seconds: float = 3.0) -> Program:
    """Writes about ``size`` bytes at once, in lines, then waits."""
    line = "0123456789abcdef" * 63
    count = size // (len(line) + 1)
    script = f"echo started; yes {line} | head -n {count}; sleep {pace.seconds(seconds)}; echo end"
    return Program(script, b"started\n" + f"{line}\n".encode() * count + b"end\n")


ENDED = frozenset({str(State.SUCCEEDED), str(State.FAILED), str(State.TIMED_OUT)})
