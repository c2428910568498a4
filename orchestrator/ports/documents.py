"""What every task store agrees on about a document: who holds it, and what a move writes. Knows no database."""

from collections.abc import Mapping
from datetime import datetime

from orchestrator.errors import InvalidTask
from orchestrator.ports import Move
from orchestrator.task.codec import to_document
from orchestrator.task.values import Document
from statemachine import INITIAL, TERMINAL, State

FINAL = sorted(str(state) for state in TERMINAL)
ACTIVE = sorted(str(state) for state in {*State} - TERMINAL - {INITIAL})
BOUND = [*ACTIVE, str(INITIAL)]
"""The statuses in which a task may be bound to an engine; any other was written by a foreign hand, as its engine was."""
LARGEST = 16 << 20
"""Bytes of BSON that MongoDB takes."""
ROOM = 1 << 20
"""Bytes of it that are left for what the worker writes."""
BULKY = ("files", "stdin")
"""What ``list`` leaves out."""


SWEPT = ("status", "created_at", "engine", "container", "lease")
"""What a sweep looks at. All else may be as large as its owner likes, times the number of tasks that are waiting."""
TIMED = ("status", "cause", "attempt", "created_at", "started_at", "finished_at", "metrics")
"""What figures about many tasks are made of."""
NAMING = (
    *("nonce", "deleting", "attempt", "objects_named", "logs_removed_at", "artifacts_removed_at"),
    *("logs", "metrics", "artifacts_stored", "attempts"),
)
"""What tells which objects a task has."""
STANDING = ("status", "attempt", "cause", "logs", "nonce", "settled", "finished_at", "deleting")


def is_removable(document: Document) -> bool:
    """Whether the task has ended and nothing of it is left to be published or released."""
    return document.get("status") in FINAL and document.get("settled") is not False


def deletion_of(document: Document) -> str | None:
    """The token of the deletion that has begun; None when none has."""
    token = _mapping(document.get("deleting")).get("token")
    return token if isinstance(token, str) else None


def is_held(document: Document, token: str) -> bool:
    """Whether ``token`` is that of the lease and the task is not terminal; the lease may have expired."""
    return document.get("status") not in FINAL and has_token(document, token)


def has_token(document: Document, token: str) -> bool:
    """Whether ``token`` was the last to hold the task, whatever its state."""
    return _token(document) == token


def is_beginning(document: Document, token: str, container: str) -> bool:
    """Whether who holds the token has stored that the container is about to be started."""
    return has_token(document, token) and (document.get("status"), document.get("starting")) == (INITIAL, container)


def is_applied(document: Document, move: Move) -> bool:
    """Whether this very move is in the history and its holder was not replaced since."""
    history = document.get("history")
    return _token(document) == move.token and isinstance(history, list) and row(move) in history


def is_cancelled_before(document: Document, move: Move) -> bool:
    """Whether the move would apply, had nobody asked for the task to be cancelled."""
    same = (document.get("status"), _token(document)) == (move.entry.source, move.token)
    would = same and has_moved(document, move.entry.seq - 1)
    return would and move.unless_cancelled and document.get("cancel_requested_at") is not None


def has_moved(document: Document, times: int) -> bool:
    """Whether the task has moved so often. A first row in the history says so, not a number that a foreign hand may write."""
    history = document.get("history")
    return document.get("seq") == times if times > 0 else not (isinstance(history, list) and history)


def too_large(size: int) -> InvalidTask:
    """The refusal of a document of ``size`` bytes."""
    return InvalidTask([f"task: has {size} bytes; above {LARGEST - ROOM} there is no room for what the worker writes"])


def leaves_no_room(document: Document, size: int) -> bool:
    """Whether a task that has not moved has to be refused for its size; one that has moved was found small enough then."""
    return size > LARGEST - ROOM and document.get("status") == INITIAL and has_moved(document, 0)


def row(move: Move) -> dict[str, object]:
    """The history row of a move, to the millisecond that databases keep."""
    at = move.entry.at
    stored = to_document({"row": move.entry})["row"]
    return {**_mapping(stored), "at": at.replace(microsecond=at.microsecond // 1000 * 1000)}


def changes(move: Move) -> dict[str, object]:
    """The fields that a move sets, apart from history and lease."""
    settled = {"settled": False} if move.entry.status in TERMINAL else {}
    return to_document({**move.fields, **settled, "status": move.entry.status, "seq": move.entry.seq})


def moved(before: Document, changed: Document, last: object) -> Document:
    """The document after a move that sets these fields and adds this row, from the one before it.

    The end of the lease is left as it was.
    """
    history = before.get("history")
    return {**before, **changed, "history": [*(history if isinstance(history, list) else []), last]}


def beyond(prefix: str) -> str:
    """What no id that begins with the prefix reaches, but one that goes on with the last of all code points."""
    return f"{prefix}\U0010ffff"


def age(document: Document) -> tuple[bool, object]:
    """Sorts documents by ``created_at``; one without a date counts as oldest."""
    created = document.get("created_at")
    return (True, created) if isinstance(created, datetime) else (False, 0)


def lease_of(document: Document) -> Mapping[str, object]:
    """The lease, or nothing when there is none."""
    return _mapping(document.get("lease"))


def _token(document: Document) -> object:
    return lease_of(document).get("token")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
