"""What the worker asks of the outside. Each docstring is the contract that every adapter, real or in memory, is tested against.

All calls block; all are safe to call from many threads and safe to repeat. Any of them may raise InfrastructureError when its
service is away or does not do its part. Times are seconds.
"""

from orchestrator.ports.container import (
    Chunk,
    ContainerPlan,
    ContainerState,
    Counted,
    Created,
    Figure,
    Footprint,
    Noted,
    Owned,
    Phase,
    Sample,
    Stream,
)
from orchestrator.ports.engine import Engine, Host, PullPolicy
from orchestrator.ports.logs import LogStore
from orchestrator.ports.messages import EventBus, Head, JobInfo, Mutex, Queue
from orchestrator.ports.store import Free, Move, Origin, TaskStore

__all__ = [
    "Chunk",
    "ContainerPlan",
    "ContainerState",
    "Counted",
    "Created",
    "Engine",
    "EventBus",
    "Figure",
    "Footprint",
    "Free",
    "Head",
    "Host",
    "JobInfo",
    "LogStore",
    "Move",
    "Mutex",
    "Noted",
    "Origin",
    "Owned",
    "Phase",
    "PullPolicy",
    "Queue",
    "Sample",
    "Stream",
    "TaskStore",
]
