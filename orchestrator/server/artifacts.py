"""Requests for the files that a task has left in /out."""

from http import HTTPStatus

from attrs import asdict
from starlette.responses import Response

from orchestrator.errors import UnknownTask
from orchestrator.server.downloads import Stored, download
from orchestrator.server.problems import HttpError
from orchestrator.server.route import Call, json_answer


async def artifacts(call: Call) -> Response:
    """Also once retention has removed them."""
    task = await call.backend.task(call.given["id"])
    return json_answer(
        {
            "artifacts": [asdict(each) for each in task.artifacts_stored],
            "refused": [asdict(each) for each in task.artifacts_refused],
            "removed_at": task.artifacts_removed_at,
        }
    )


async def artifact(call: Call) -> Response:
    """By its path as it is listed: no other name means it."""
    task, path = await call.backend.task(call.given["id"]), call.given["path"]
    found = next((each for each in task.artifacts_stored if each.path == path), None)
    if found is None:
        raise UnknownTask(f"task {task.id!r} has no stored artifact {path!r}")
    if task.artifacts_removed_at:
        words = f"the artifacts of task {task.id!r} were kept for a time only: removed on {task.artifacts_removed_at:%Y-%m-%d}"
        raise HttpError(HTTPStatus.GONE, words)
    stored = Stored(path, found.bytes, found.sha256)
    return await download(call.backend, call.request, stored, lambda at: call.backend.client.artifact(task.id, path, at))
