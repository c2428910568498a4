"""A worker's record: fields of the hash that RQ keeps for each worker, beside RQ's own."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rq.worker import WorkerStatus

from orchestrator.ports import WorkerRecord

_SLOTS, _ENGINE, _TASKS, _DRAINING = (f"orchestrator_{name}" for name in ("slots", "engine", "tasks", "draining"))


def fields(slots: int, engine: str, tasks: Iterable[str], *, draining: bool) -> Mapping[str, str]:
    """What is written beside RQ's fields."""
    return {_SLOTS: str(slots), _ENGINE: engine, _TASKS: json.dumps(sorted(tasks)), _DRAINING: str(int(draining))}


def read(key: str, raw: Mapping[bytes, bytes]) -> WorkerRecord | None:
    """The record under this key; None for one that is not a worker's, or is gone."""
    said = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in raw.items()}
    try:
        tasks = tuple(map(str, json.loads(said.get(_TASKS) or "[]")))
        return WorkerRecord(
            key.rpartition(":")[2],
            said.get("hostname", ""),
            int(said.get("pid") or 0),
            said.get(_ENGINE, ""),
            int(said.get(_SLOTS) or 0),
            tasks,
            _state(said, tasks),
            _required(said["birth"]),
            _required(said["last_heartbeat"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _state(said: Mapping[str, str], tasks: Sequence[str]) -> str:
    if said.get(_DRAINING) == "1":
        return "draining"
    return "busy" if tasks or said.get("state") == WorkerStatus.BUSY else "idle"


def _required(text: str) -> datetime:
    if (at := time_of(text)) is None:
        raise ValueError(text)
    return at


def time_of(text: str) -> datetime | None:
    """A time as RQ writes it; without a zone it is UTC. None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
