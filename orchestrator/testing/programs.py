"""The scripted programs of the engine in memory."""

from collections.abc import Mapping, Sequence
from math import inf

from attrs import field, frozen

from orchestrator.ports import EngineEvents, Figure, Sample


@frozen
class Program:
    """What a command does. It runs for ``seconds``, ``inf`` meaning until it is ended; one that ``floods`` never pauses.

    ``busy`` is how many CPUs it keeps busy; ``counted`` what else is counted of it; ``noted`` what the engine remembers of it;
    ``out`` is the archive of what it leaves in /out; ``full`` names its folders without room; ``reads`` says that it takes its
    stdin, all at once.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    oom_killed: bool = False
    seconds: float = 0.0
    heeds_term: bool = True
    floods: bool = False
    samples: tuple[Sample, ...] = ()
    busy: float = 0.0
    counted: Mapping[Figure, float] = field(factory=dict)
    noted: EngineEvents = field(factory=EngineEvents)
    out: bytes = bytes(1024)
    full: tuple[str, ...] = ()
    reads: bool = True


@frozen
class ProgramProbe:
    """Implements ports.ContainerProbe. What is counted of a program is in its container's state."""

    full: tuple[str, ...]

    def counted(self) -> None:
        """See ports.ContainerProbe."""

    def close(self) -> Sequence[str]:
        """See ports.ContainerProbe."""
        return self.full


FOREVER = Program(seconds=inf)
"""A program that runs until it is ended."""
