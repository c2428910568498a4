"""All routes of the API, in one table."""

from orchestrator.server import artifacts, figures, follow, logs, parameters, process, schemas, tasks
from orchestrator.server.downloads import BYTES
from orchestrator.server.parameters import ARTIFACT, ID, WHICH, Parameter
from orchestrator.server.route import Answer, Route
from orchestrator.server.tokens import Scope
from orchestrator.task import fields as kinds

_SSE = "text/event-stream"
_TASK = Answer("The task.", schemas.TASK)
_ABSENT = {404: "There is no such task."}
_OPEN = {409: "The task has not ended."}
_BODY = {413: "The body is too large.", 415: "The body is not JSON."}
_PART = {
    200: Answer("All of it.", media_type=BYTES),
    206: Answer("The part that Range asks for.", media_type=BYTES),
}
_NO_PART = {410: "It was kept for a time only.", 416: "There is no such part."}

ROUTES = (
    Route(
        "POST",
        "/v1/tasks",
        tasks.submit,
        Scope.SUBMIT,
        "Hand in a task. With an id of your own the same request may be sent again.",
        {
            201: Answer(
                "The task is stored and will run; with `wait` as it is at its end, or when that time is over.", schemas.TASK
            ),
            200: Answer("The same request was handed in before with this id.", schemas.TASK),
        },
        (Parameter("wait", parameters.WAIT, "How long to wait for the end of the task."),),
        schemas.named("TaskRequest"),
        {409: "The id is that of another task.", 422: "The task is refused.", 429: "Too many tasks wait.", **_BODY},
    ),
    Route(
        "POST",
        "/v1/tasks:batch",
        tasks.submit_batch,
        Scope.SUBMIT,
        "Hand in up to 1000 tasks, each for itself.",
        {200: Answer("What became of each, in order: the status that it would have had alone.", schemas.BATCH_ANSWER)},
        body=schemas.BATCH,
        problems={422: "It is not a list of tasks.", **_BODY},
    ),
    Route(
        "GET",
        "/v1/tasks",
        tasks.listed,
        Scope.READ,
        "List tasks, newest first; of several filters a task has to pass all.",
        {200: Answer("One page; `next` is the cursor of the next one.", schemas.TASKS)},
        (
            Parameter("status", parameters.STATUS, "Only tasks with this status."),
            Parameter("cause", parameters.CAUSE, "Only tasks that ended for this cause."),
            Parameter("image", parameters.TEXT, "Only tasks of this image, as it is written in the task."),
            Parameter("label", parameters.LABEL, "Only tasks with this label.", (), many=True),
            Parameter("since", parameters.MOMENT, "Only tasks that were created then or later."),
            Parameter("until", parameters.MOMENT, "Only tasks that were created before."),
            Parameter("limit", parameters.PAGE, "How many at most.", 50),
            Parameter("cursor", kinds.ID, "`next` of the page before."),
            Parameter("fields", parameters.NAMES, "Only these fields of each task, and `_id`."),
        ),
        problems={404: "The task of the cursor is not there any more."},
    ),
    Route(
        "GET",
        "/v1/ids",
        tasks.ids,
        Scope.READ,
        "Find ids by their beginning.",
        {200: Answer("The first 10 of them.", schemas.IDS)},
        (Parameter("prefix", parameters.PREFIX, "How the id begins.", needed=True),),
    ),
    Route("GET", "/v1/tasks/{id}", tasks.show, Scope.READ, "Show a task.", {200: _TASK}, (ID,), problems=_ABSENT),
    Route(
        "DELETE",
        "/v1/tasks/{id}",
        tasks.delete,
        Scope.ADMIN,
        "Delete an ended task with its logs and artifacts.",
        {204: Answer("It is gone.")},
        (ID,),
        problems=_ABSENT | _OPEN,
    ),
    Route(
        "POST",
        "/v1/tasks/{id}/cancel",
        tasks.cancel,
        Scope.SUBMIT,
        "Ask for a task to be cancelled.",
        {202: _TASK},
        (ID,),
        problems=_ABSENT,
    ),
    Route(
        "POST",
        "/v1/tasks/{id}/retry",
        tasks.retry,
        Scope.SUBMIT,
        "Hand in what an ended task asked for as a new task. With an id of your own for it this may be sent again.",
        {201: Answer("The new task.", schemas.TASK), 200: Answer("It was handed in before with this id.", schemas.TASK)},
        (ID,),
        schemas.RETRY,
        {**_ABSENT, **_OPEN, 422: "The task would be refused now.", 429: "Too many tasks wait.", **_BODY},
        body_needed=False,
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/events",
        follow.task_events,
        Scope.READ,
        "Every event of a task after that of Last-Event-ID, to the last one.",
        {200: Answer("`transition` with an Event as data and its seq as id, then `end`.", media_type=_SSE)},
        (ID,),
        problems=_ABSENT,
    ),
    Route(
        "GET",
        "/v1/events",
        follow.all_events,
        Scope.READ,
        "The events of all tasks, from now on.",
        {200: Answer("`transition` with an Event as data.", media_type=_SSE)},
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/logs",
        follow.output,
        Scope.READ,
        "Both streams and the events of a task while it runs, to the last event.",
        {200: Answer("`piece`, `missed`, `transition`, then `end`; ids are places to go on from.", media_type=_SSE)},
        (
            ID,
            Parameter("follow", parameters.ONE, "Has to be given.", needed=True),
            Parameter("from", parameters.PLACE, "The id of the last entry that was seen; Last-Event-ID wins."),
            Parameter(
                "gaps", parameters.FLAG, "Whether output goes on behind what was missed, which does not follow then.", True
            ),
        ),
        problems=_ABSENT,
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/logs/{stream}",
        logs.log,
        Scope.READ,
        "The bytes of a stream.",
        {
            **_PART,
            200: Answer("All of it.", media_type=BYTES, headers={logs.ATTEMPT: "With follow=1: of which attempt it is."}),
        },
        (
            ID,
            WHICH,
            Parameter("attempt", parameters.ATTEMPT, "Of which attempt, if not of the present one."),
            Parameter("follow", parameters.FLAG, "The bytes as they come, to the end of the attempt.", False),
            Parameter("offset", parameters.OFFSET, "With follow=1: the first byte; to go on, also give the attempt.", 0),
        ),
        problems={**_ABSENT, 409: "The log is not stored, or there is no such attempt.", **_NO_PART},
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/metrics",
        figures.task_metrics,
        Scope.READ,
        "What a task has used.",
        {200: Answer("The figures of the document, and what it used over time.", schemas.METRICS)},
        (ID, Parameter("attempt", parameters.ATTEMPT, "Over time of an attempt that another followed.")),
        problems=_ABSENT,
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/artifacts",
        artifacts.artifacts,
        Scope.READ,
        "The files that a task has left.",
        {200: Answer("What is stored, and what was refused and why.", schemas.ARTIFACTS)},
        (ID,),
        problems=_ABSENT,
    ),
    Route(
        "GET",
        "/v1/tasks/{id}/artifacts/{path:path}",
        artifacts.artifact,
        Scope.READ,
        "The bytes of one of them.",
        _PART,
        (ID, ARTIFACT),
        problems={**_ABSENT, **_NO_PART},
    ),
    Route(
        "GET",
        "/v1/stats",
        figures.stats,
        Scope.READ,
        "What waits, how much gets done, how long it takes, how it ends, and what each worker runs.",
        {200: Answer("The figures.", schemas.STATS)},
        (
            Parameter(
                "window",
                parameters.WINDOW,
                "How far back figures reach, from 10m on in minutes, from 1d on in hours; an hour if it is left out.",
                3600.0,
            ),
        ),
    ),
    Route(
        "GET",
        "/v1/workers",
        figures.workers,
        Scope.READ,
        "The workers, and what each runs.",
        {200: Answer("As in the figures.", schemas.WORKERS)},
    ),
    Route("GET", "/v1/whoami", process.whoami, Scope.READ, "What the token allows.", {200: Answer("It.", schemas.WHOAMI)}),
    Route(
        "GET",
        "/metrics",
        figures.metrics,
        Scope.READ,
        "What the process counts, for Prometheus.",
        {200: Answer("Its text format.", media_type="text/plain")},
    ),
    Route("GET", "/healthz", process.healthz, None, "Whether the server lives.", {200: Answer("It does.", schemas.HEALTH)}),
    Route(
        "GET",
        "/readyz",
        process.readyz,
        None,
        "Whether the server can do its work.",
        {200: Answer("It can.", schemas.READINESS), 503: Answer("It cannot.", schemas.READINESS)},
    ),
)
