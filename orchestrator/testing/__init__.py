"""The services in memory, for tests of code that hands in tasks: no engine, no server, and no time for programs that run long.

``MemoryServices`` has a ``client`` like the real one, and runs what it hands in. Programs are scripted: a ``Program`` says what
a command prints, how long it runs and how it ends. All but the programs is what a worker runs: the same state machine, steps,
checks, verdicts and events. The adapters pass the same contract tests as the real ones. See docs/testing.md.
"""

from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import FOREVER, Program
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.services import MemoryServices
from orchestrator.testing.task_store import MemoryTaskStore

__all__ = [
    "FOREVER",
    "MemoryEngine",
    "MemoryEventBus",
    "MemoryLock",
    "MemoryObjectStore",
    "MemoryQueue",
    "MemoryServices",
    "MemoryTaskStore",
    "Program",
]
