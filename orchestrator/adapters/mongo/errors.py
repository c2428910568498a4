"""Translates errors of the database and its library into errors of this package, so that no foreign type leaves an adapter."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from orchestrator.errors import DuplicateTask, InfrastructureError, InvalidTask
from orchestrator.ports.documents import LARGEST, too_large

_TOO_LARGE = frozenset({10334, 17419, 17420})


@contextmanager
def translated() -> Iterator[None]:
    """Run a call to the database.

    Raises DuplicateTask, InvalidTask if a value cannot be stored, otherwise InfrastructureError.
    """
    try:
        yield
    except DuplicateKeyError:
        raise DuplicateTask("a task with this id exists already") from None
    except DocumentTooLarge as error:
        raise InvalidTask([f"task: {error}"]) from error
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in _TOO_LARGE:
            raise too_large(LARGEST) from error
        raise InfrastructureError("mongodb", str(error).partition(", Timeout:")[0]) from error
    except (BSONError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidTask([f"the document cannot be stored: {error}"]) from error
