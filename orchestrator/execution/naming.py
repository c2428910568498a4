"""How the container and the spool of an attempt are named."""

from pathlib import Path

_PREFIX = "orchestrator-"


def container_name(task_id: str, attempt: int) -> str:
    """The last part is the attempt, so no two tasks or attempts share a name."""
    return f"{_PREFIX}{task_id}-{attempt}"


def named(name: str) -> tuple[str, int] | None:
    """The inverse of ``container_name``; None for any other name."""
    task_id, _, attempt = name.removeprefix(_PREFIX).rpartition("-")
    return (task_id, int(attempt)) if name.startswith(_PREFIX) and task_id and attempt.isdecimal() else None


def spool_folder(spool_dir: Path, name: str, nonce: str | None) -> Path:
    """The folder for the spooled output of a container; each holder of the task has a folder in it."""
    return spool_dir / name / (nonce or "")
