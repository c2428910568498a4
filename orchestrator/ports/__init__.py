"""What the worker asks of the outside. Each docstring is the contract that every adapter, real or in memory, is tested against.

All calls block; all are safe to call from many threads and safe to repeat. Any of them may raise InfrastructureError when its
service is away or does not do its part. Times are seconds.
"""

from orchestrator.ports.container import (
    Chunk,
    ContainerPlan,
    ContainerProbe,
    ContainerState,
    Counters,
    Created,
    EngineEvents,
    Figure,
    Owned,
    Phase,
    Sample,
    Stream,
    Warmth,
)
from orchestrator.ports.engine import Engine, Host, PullPolicy
from orchestrator.ports.event_bus import EventBus
from orchestrator.ports.intake import Intake, NewTask, TwoStepIntake
from orchestrator.ports.live_output import POINTS, LiveEntry, LiveOutput, Piece, Point
from orchestrator.ports.lock import SharedLock
from orchestrator.ports.object_store import ObjectStore, SentPart, StoredObject
from orchestrator.ports.queue import JobInfo, Queue, QueueDepth, QueueHead, WorkerRecord
from orchestrator.ports.task_store import Counts, Free, Move, Origin, Part, Search, TaskStore

__all__ = [
    "POINTS",
    "Chunk",
    "ContainerPlan",
    "ContainerProbe",
    "ContainerState",
    "Counters",
    "Counts",
    "Created",
    "Engine",
    "EngineEvents",
    "EventBus",
    "Figure",
    "Free",
    "Host",
    "Intake",
    "JobInfo",
    "LiveEntry",
    "LiveOutput",
    "Move",
    "NewTask",
    "ObjectStore",
    "Origin",
    "Owned",
    "Part",
    "Phase",
    "Piece",
    "Point",
    "PullPolicy",
    "Queue",
    "QueueDepth",
    "QueueHead",
    "Sample",
    "Search",
    "SentPart",
    "SharedLock",
    "StoredObject",
    "Stream",
    "TaskStore",
    "TwoStepIntake",
    "Warmth",
    "WorkerRecord",
]
