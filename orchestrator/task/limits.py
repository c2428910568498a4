"""What a task may use: a field for each limit. Its flag, its settings and its line in the reference are metadata of the field.

What holds a program to a limit is elsewhere: ``adapters.docker.container_config``, ``execution.steps.wait`` for times,
``output.spool`` for output and ``output.artifacts`` for files.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import fields, frozen

from orchestrator.task import fields as kinds
from orchestrator.task.fields import accepts
from orchestrator.task.validation import Kind

T = TypeVar("T")


@frozen
class About:
    """What there is to say of a limit beside its kind and its default."""

    flags: tuple[str, ...]
    """Of ``run`` and ``submit``; named as in docker run where that has it."""
    help: str
    """Of the flag."""
    unit: str
    """For the reference."""
    beyond: str
    """What becomes of a program that wants more, for the reference."""
    ceiling: Any = None
    """The most that a task may ask for unless MAX_… says otherwise. None: any amount, and there are no settings."""
    default_is: str = ""
    """What DEFAULT_… is of a task that names none."""
    ceiling_is: str = ""
    """What MAX_… is that a task may ask for."""


_ABOUT = "about"


def _limit(kind: Kind[T], default: T | None, flags: str, **about: Any) -> T:
    return accepts(kind, default, metadata={_ABOUT: About(tuple(flags.split()), **about)})


@frozen
class Limits:
    """What a task may use, in CPUs, bytes, numbers and seconds."""

    cpus: float = _limit(
        kinds.CPUS,
        1.0,
        "--cpus",
        help="CPUs it may use, such as 0.5.",
        unit="CPUs, fractions allowed",
        beyond="throttled beyond",
        ceiling=64.0,
        default_is="CPUs",
        ceiling_is="most CPUs",
    )
    memory: int = _limit(
        kinds.size(6 << 20),
        256 << 20,
        "--memory -m",
        help="Memory it may use, such as 128m; there is no swap.",
        unit="bytes or `128m`, at least `6m`",
        beyond=(
            "no swap; beyond it the kernel kills: cause oom. An engine may need more before any program begins: "
            "see [the task document](task.md)"
        ),
        ceiling=4 << 30,
        default_is="memory",
        ceiling_is="most memory",
    )
    pids: int = _limit(
        kinds.POSITIVE,
        128,
        "--pids-limit",
        help="Processes and threads it may have at once.",
        unit="processes and threads",
        beyond="further ones cannot be made",
        ceiling=4096,
        default_is="processes and threads",
        ceiling_is="most processes and threads",
    )
    timeout: float = _limit(
        kinds.SECONDS,
        60.0,
        "--timeout",
        help="Wall time it may take, such as 30s.",
        unit="seconds, or text such as `30s`, `500ms`, `1.5m` or `1d`, of wall time",
        beyond="TERM, grace, KILL: timed_out",
        ceiling=3600.0,
        default_is="wall time",
        ceiling_is="longest wall time",
    )
    output: int = _limit(
        kinds.size(0),
        10 << 20,
        "--output-limit",
        help="Bytes it may write to stdout and to stderr, each.",
        unit="bytes of each stream",
        beyond="ended: cause output_limit; what fits is kept. Or both ends are kept: see [`on_output_limit`](task.md)",
        ceiling=100 << 20,
        default_is="bytes kept of each stream",
        ceiling_is="most bytes of each stream",
    )
    tmp: int = _limit(
        kinds.size(4096),
        64 << 20,
        "--tmp-size",
        help="Size of its /tmp; it counts into the memory.",
        unit="bytes of `/tmp`",
        beyond="writes fail beyond; counts into memory",
        ceiling=1 << 30,
        default_is="size of /tmp",
        ceiling_is="largest /tmp",
    )
    cpu_time: float | None = _limit(
        kinds.SECONDS,
        None,
        "--cpu-time",
        help="CPU time that all its processes together may take, such as 10s.",
        unit="seconds of CPU of all processes together, the container's start (some 20 ms) included",
        beyond=(
            "ended within 0.1 s of wall time where control groups can be read, else at the next sample, after about 1 s: "
            "timed_out, evidence `ended_for: cpu_time`"
        ),
    )
    """None: as much as it gets in its wall time."""
    artifacts: int = _limit(
        kinds.size(4096),
        64 << 20,
        "--artifacts-size",
        help="Size of /out; it counts into the memory.",
        unit="bytes of `/out`",
        beyond="writes fail beyond, and beyond one file for each 4 KiB (1024 at least); counts into memory",
        ceiling=1 << 30,
        default_is="size of /out",
        ceiling_is="largest /out",
    )
    shm: int = _limit(
        kinds.size(4096),
        64 << 20,
        "--shm-size",
        help="Size of its /dev/shm; it counts into the memory.",
        unit="bytes of `/dev/shm`, never more than the memory",
        beyond="writes fail beyond; counts into memory",
        ceiling=1 << 30,
        default_is="size of /dev/shm",
        ceiling_is="largest /dev/shm",
    )


def about_limits() -> Mapping[str, About]:
    """What there is to say of each limit, by name."""
    return {limit.name: limit.metadata[_ABOUT] for limit in fields(Limits)}


def ceilings() -> Limits:
    """The most that tasks may ask for unless the settings say otherwise."""
    given: dict[str, Any] = {name: about.ceiling for name, about in about_limits().items() if about.ceiling is not None}
    return Limits(**given)
