"""Translates errors of the database and its library into errors of this package, so that no foreign type leaves an adapter."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from orchestrator.errors import DuplicateTask, InfrastructureError, InvalidTask
from orchestrator.ports.documents import LARGEST, too_large

_TOO_LARGE = frozenset({10334, 17419, 17420})
_DUPLICATE = frozenset({11000, 11001, 12582})


@contextmanager
def translated(*, bulk: bool = False) -> Iterator[None]:
    """Run a call to the database.

    Raises DuplicateTask, InvalidTask if a value cannot be stored, otherwise InfrastructureError. With ``bulk`` a
    BulkWriteError is left as it is, for ``refusals``.
    """
    try:
        yield
    except DuplicateKeyError:
        raise _taken() from None
    except DocumentTooLarge as error:
        raise InvalidTask([f"task: {error}"]) from error
    except PyMongoError as error:
        if bulk and isinstance(error, BulkWriteError):
            raise
        if isinstance(error, OperationFailure) and error.code in _TOO_LARGE:
            raise too_large(LARGEST) from error
        raise InfrastructureError("mongodb", str(error).partition(", Timeout:")[0]) from error
    except (BSONError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidTask([f"the document cannot be stored: {error}"]) from error


def refusals(error: BulkWriteError) -> Iterator[tuple[int, DuplicateTask | InvalidTask]]:
    """The place of each document that an insert refused, and why. Raises InfrastructureError if it says anything else."""
    details = error.details or {}
    for refusal in details.get("writeErrors", ()):
        code = refusal.get("code")
        if code not in _DUPLICATE | _TOO_LARGE:
            raise InfrastructureError("mongodb", str(refusal.get("errmsg"))) from error
        yield refusal["index"], _taken() if code in _DUPLICATE else too_large(LARGEST)
    if unsure := details.get("writeConcernErrors"):
        raise InfrastructureError("mongodb", str(unsure[0].get("errmsg"))) from error


def _taken() -> DuplicateTask:
    return DuplicateTask("a task with this id exists already")
