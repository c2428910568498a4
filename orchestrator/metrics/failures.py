"""Counts the calls of an adapter that fail because its service does."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from orchestrator.errors import InfrastructureError
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements


def counted(attribute: Any, service: str, measured: Measurements) -> Any:
    """An attribute of an adapter. If it is a method, the errors of its service are counted, also while what it yields is read.

    An error of another service, as a callback may raise it, is counted where that service was called.
    """
    if not callable(attribute):
        return attribute
    method: Callable[..., Any] = attribute

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _counting(service, measured):
            result = method(*args, **kwargs)
        return _read(result, service, measured) if isinstance(result, Generator) else result

    return call


def _read(items: Iterator[Any], service: str, measured: Measurements) -> Iterator[Any]:
    with _counting(service, measured):
        yield from items


@contextmanager
def _counting(service: str, measured: Measurements) -> Iterator[None]:
    try:
        yield
    except InfrastructureError as error:
        if error.service == service:
            measured.count(metrics.SERVICE_ERRORS, service)
        raise
