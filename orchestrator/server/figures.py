"""Requests for figures: what a task has used, what the deployment does, and what the process counts."""

from attrs import asdict
from starlette.responses import Response

from orchestrator.metrics import exporter
from orchestrator.server.route import Call, json_answer
from orchestrator.task.plain import document

_HOUR = 3600.0


async def stats(call: Call) -> Response:
    """As `orchestrator stats --json` prints them."""
    return json_answer((await call.backend.stats(call.given["window"])).document())


async def workers(call: Call) -> Response:
    """Those that the figures of the last hour name."""
    return json_answer({"workers": [asdict(worker) for worker in (await call.backend.stats(_HOUR)).workers]})


async def task_metrics(call: Call) -> Response:
    """The figures in the document, and over time where that is stored."""
    task = await call.backend.task(call.given["id"])
    series = await call.backend.call(call.backend.client.series, task.id, call.given["attempt"])
    return json_answer({"metrics": document(task)["metrics"], "series": series and asdict(series)})


async def metrics(call: Call) -> Response:
    """For Prometheus."""
    told = await call.backend.call(exporter.exposition, call.backend.client.services)
    return Response(told, media_type=exporter.CONTENT_TYPE)
