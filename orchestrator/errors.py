"""The errors of the package, grouped by the party that has to act."""

from collections.abc import Collection, Mapping, Sequence

from orchestrator.cause import Cause

STORAGE = "s3"
"""The service that object storage is, in errors."""


class OrchestratorError(Exception):
    """Base of all errors raised on purpose here."""


class TaskFailure(OrchestratorError):
    """The task cannot go on and its owner must act: it ends failed with ``cause``, and is never retried as infrastructure."""

    def __init__(self, cause: Cause, message: str, evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.evidence = dict(evidence or {})


class InvalidTask(TaskFailure):
    """The task document breaks its contract; ``problems`` has one sentence for each bad field, up to a hundred."""

    def __init__(self, problems: Sequence[str]) -> None:
        if len(problems) > _MOST_PROBLEMS:
            problems = [*problems[:_MOST_PROBLEMS], f"and {len(problems) - _MOST_PROBLEMS} more"]
        super().__init__(Cause.INVALID, "; ".join(problems), {"problems": list(problems)})
        self.problems = tuple(problems)


class ImageUnavailable(TaskFailure):
    """The image cannot be had, says the registry or the engine: no such name, no access, or absent and not to be pulled."""

    def __init__(self, message: str) -> None:
        super().__init__(Cause.IMAGE, message)


class EngineUnfit(TaskFailure):
    """The engine cannot run such a container until somebody changes its settings or the worker's, so no new try is made.

    The operator must act. The task is not to blame, so its cause is infrastructure.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Cause.INFRASTRUCTURE, message)


class InfrastructureError(OrchestratorError):
    """A service did not do its part (away, reset, 5xx, full). The task is not to blame; the same call may be made again."""

    def __init__(self, service: str, message: str) -> None:
        super().__init__(f"{service}: {message}")
        self.service = service


class EngineTooOld(InfrastructureError):
    """The engine's API has not all that is needed. The same call succeeds once the engine was upgraded."""


class BytesChanged(InfrastructureError):
    """A file in the spool is not what was hashed, so it is not stored. The call may be made again once it is written again."""

    def __init__(self, name: str) -> None:
        super().__init__("spool", f"{name} has changed on the disk since it was written")


class OutputLost(OrchestratorError):
    """The output was read to its end, but of these streams some may be missing, for good. The same call gives no more."""

    def __init__(self, streams: Collection[str], message: str) -> None:
        super().__init__(message)
        self.streams = frozenset(streams)


class Interrupted(OrchestratorError):
    """The attempt was broken by the infrastructure in a way that no call made again can mend; a new attempt may."""


class CancelRequested(OrchestratorError):
    """A move was refused because somebody has asked for the task to be cancelled."""


class ContainerMissing(OrchestratorError):
    """The engine answers that it has no container of this name."""


class Superseded(OrchestratorError):
    """A compare-and-set matched nothing: somebody else moved or owns the task. Let go of it and touch nothing of it."""


class Postponed(OrchestratorError):
    """The task is not taken up here, as by a worker that is to stop; another one does."""


class Elsewhere(Postponed):
    """The task's container is on another machine, or another deployment's; an operator has to say what holds."""


class WrongDatabase(OrchestratorError):
    """The database is not, or may not be, the one whose containers are here: nothing may be run or swept."""


class UnknownTask(OrchestratorError):
    """No task has this id."""


class NotEnded(OrchestratorError):
    """The task cannot be deleted: it has not ended."""


class NotSettled(NotEnded):
    """The task has ended, but its worker has not released all that it had; the same call may be made again in some seconds."""


class AmbiguousId(OrchestratorError):
    """The beginning of an id is that of several tasks; the message names them, up to a handful."""


class DuplicateTask(OrchestratorError):
    """A task with this id exists already."""


class SettingsError(OrchestratorError):
    """One or more settings have a bad value; the message names each."""


_MOST_PROBLEMS = 100
