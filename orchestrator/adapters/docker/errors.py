"""Translates errors of the engine and its library into errors of this package, so that no foreign type leaves an adapter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from docker.errors import APIError, DockerException, ImageNotFound
from urllib3.exceptions import HTTPError

from orchestrator.adapters.docker.engine_faults import fault_in, may_pass
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError, OrchestratorError, TaskFailure

SERVICE = "docker"


class Conflict(InfrastructureError):
    """The engine answers 409: the name is taken, or the state of the container forbids the call."""


class Refused(InfrastructureError):
    """The engine refuses, with a status that gives no reason. A cut or missing answer is not a refusal."""


@contextmanager
def translated(*, wishes: bool = False) -> Iterator[None]:
    """Run a call to the engine. With ``wishes`` the call has fields of the task, so a refusal is an error of the task.

    Raises ImageUnavailable and ContainerMissing on 404, Conflict on 409, EngineUnfit if no new try can help, TaskFailure
    (invalid) on refused wishes, and InfrastructureError on all other errors: Refused if the engine has answered.
    """
    try:
        yield
    except APIError as error:
        raise answer(error.status_code, explain(error), wishes=wishes, image=isinstance(error, ImageNotFound)) from error
    except (DockerException, HTTPError, OSError, JSONDecodeError) as error:
        raise InfrastructureError(SERVICE, explain(error)) from error


def answer(status: int | None, text: str, *, wishes: bool = False, image: bool = False) -> OrchestratorError:
    """The error for an HTTP status with the engine's explanation."""
    if image:
        return ImageUnavailable(text)
    if status == _NOT_FOUND:
        return ContainerMissing(text)
    if status == _CONFLICT or _TAKEN.search(text):
        return Conflict(SERVICE, text)
    if not _NO_FOLDER.search(text) and (unfit := fault_in(text)):
        return unfit
    is_the_tasks_fault = status == _REFUSED or any(phrase in text for phrase in _TASKS_FAULT) or _NO_FOLDER.search(text)
    if wishes and is_the_tasks_fault and not may_pass(text):
        return TaskFailure(Cause.INVALID, f"the engine refuses the container: {text}")
    return Refused(SERVICE, f"{status} {text}")


def explain(error: Exception) -> str:
    """The problem in one line: the engine's own words if there are any."""
    text = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:_LONGEST]


_REFUSED, _NOT_FOUND, _CONFLICT = 400, 404, 409
_LONGEST = 500
_TAKEN = re.compile(r"container name \S+ is already in use")
"""Podman answers 500 for a name that is taken."""
_NO_FOLDER = re.compile(r"init.*: mkdir /.*: read-only file system")
"""A working folder that runc cannot make in the container. If the problem is on the host, another process than its init
fails."""
_TASKS_FAULT = (  # the engine answers these with 500, although only the owner of the task can repair them
    "is not a directory",
    "invalid argument",
    "unable to find user",
    "uids and gids must be in range",
    "can't contain null",
    "chdir to cwd",
    "memory limit too low",
)
