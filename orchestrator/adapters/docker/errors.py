"""Translates what the engine and its library raise into errors of this package, so that no type of theirs leaves an adapter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from docker.errors import APIError, DockerException, ImageNotFound
from urllib3.exceptions import HTTPError

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError, OrchestratorError, TaskFailure

SERVICE = "docker"


class Conflict(InfrastructureError):
    """The engine answers 409: the name is taken, or what the container does forbids the call."""


class Refused(InfrastructureError):
    """The engine answers and says no, with a status that tells no more. What was cut or not heard is no such answer."""


@contextmanager
def translated(*, wishes: bool = False) -> Iterator[None]:
    """Run a call to the engine. With ``wishes`` the call carries what the task asks for, so a refusal is the task's to mend.

    Raises ImageUnavailable and ContainerMissing on 404, Conflict on 409, TaskFailure (invalid) on refused wishes, and
    InfrastructureError on all else: Refused if the engine has answered.
    """
    try:
        yield
    except APIError as error:
        raise answer(error.status_code, explain(error), wishes=wishes, image=isinstance(error, ImageNotFound)) from error
    except (DockerException, HTTPError, OSError, JSONDecodeError) as error:
        raise InfrastructureError(SERVICE, explain(error)) from error


def answer(status: int | None, text: str, *, wishes: bool = False, image: bool = False) -> OrchestratorError:
    """The error that an HTTP status with the engine's explanation stands for."""
    if image:
        return ImageUnavailable(text)
    if status == _NOT_FOUND:
        return ContainerMissing(text)
    if status == _CONFLICT:
        return Conflict(SERVICE, text)
    is_the_tasks_fault = status == _REFUSED or any(phrase in text for phrase in _TASKS_FAULT) or _NO_FOLDER.search(text)
    if wishes and is_the_tasks_fault:
        return TaskFailure(Cause.INVALID, f"the engine refuses the container: {text}")
    return Refused(SERVICE, f"{status} {text}")


def explain(error: Exception) -> str:
    """What went wrong in one line: the engine's own words where it said any."""
    text = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:_LONGEST]


_REFUSED, _NOT_FOUND, _CONFLICT = 400, 404, 409
_LONGEST = 500
_NO_FOLDER = re.compile(r"init.*: mkdir /.*: read-only file system")
"""A working folder that runc cannot make in the container; on the host it would not be its init that fails."""
_TASKS_FAULT = (  # what the engine answers with 500 although only the task's owner can mend it
    "is not a directory",
    "invalid argument",
    "unable to find user",
    "uids and gids must be in range",
    "can't contain null",
    "chdir to cwd",
    "memory limit too low",
)
