"""Every metric, with its help. Pages, dashboard and exposition are made from these; to add one, add it here.

The labels of all series are known in advance, and no label is an id.
"""

from collections.abc import Iterable
from itertools import product

from orchestrator.cause import Cause
from orchestrator.metrics.metric import Counter, Gauge, Histogram, Metric, Series
from orchestrator.ports import Figure, Warmth
from statemachine import TABLE, TERMINAL, State, Trigger

NO_CAUSE = "none"
"""The cause of a task that succeeded, and of an attempt without one."""
SERVERS = ("docker", "mongodb", "redis", "s3")
"""The services that adapters call, by their names in errors."""
FAULT = "fault"
"""An error that the worker does not know, which is a bug in it."""
END_OVERDUE = "end_overdue"
"""The action of a sweep that ends a program whose time is long over, because its worker did not."""


def _each(values: Iterable[str]) -> tuple[Series, ...]:
    return tuple((value,) for value in values)


TRANSITIONS = Counter(
    "orchestrator_transitions_total",
    "Moves of tasks that this process stored, by trigger and states.",
    ("trigger", "source", "dest"),
    tuple((row.trigger, row.source, row.dest) for row in TABLE),
)
ENDED = Counter(
    "orchestrator_tasks_ended_total",
    "Tasks that this process brought to their end, by status and cause.",
    ("status", "cause"),
    (
        (State.SUCCEEDED, NO_CAUSE),
        (State.TIMED_OUT, Cause.TIMEOUT),
        *((State.FAILED, cause) for cause in Cause),
    ),
)
RETRIED = Counter(
    "orchestrator_task_retries_total",
    "Attempts that were followed by another attempt, by the cause of the attempt.",
    ("cause",),
    _each(Cause),
)
ADOPTED = Counter(
    "orchestrator_task_adoptions_total",
    "Tasks that this process took over after another worker, or an earlier claim, had begun them, by the state they were in.",
    ("state",),
    _each(state for state in State if state not in TERMINAL),
)
REFUSED = Counter(
    "orchestrator_claims_refused_total",
    "Deliveries of a task that was unknown, had ended or was in other hands, so nothing was done.",
)
WAIT = Histogram(
    "orchestrator_task_wait_seconds",
    "Time of an attempt from the queue to its running container.",
)
RUN = Histogram(
    "orchestrator_task_run_seconds",
    "Time of an attempt in the state running.",
)
STEP = Histogram(
    "orchestrator_step_seconds",
    "Duration of each try of the work of a step; wait lasts as long as the program.",
    ("step",),
    _each(trigger for trigger in Trigger if trigger is not Trigger.FAIL),
)
STEP_ERRORS = Counter(
    "orchestrator_step_errors_total",
    "Tries of a step that raised, by step and kind: the service that failed, or what else it was.",
    ("step", "kind"),
    tuple(
        product(
            (trigger for trigger in Trigger if trigger is not Trigger.FAIL),
            (*SERVERS, "spool", "task", "interrupted", "lost", "cancelled", "postponed", FAULT),
        )
    ),
)
UPLOADED = Counter(
    "orchestrator_upload_bytes_total",
    "Bytes in object storage of attempts whose upload is recorded.",
    ("part",),
    _each(("logs", "artifacts")),
)
OUTPUT_DROPPED = Counter(
    "orchestrator_output_dropped_bytes_total",
    "Bytes of output beyond the limit of a stream, which are not stored.",
)
FIGURES_MISSING = Counter(
    "orchestrator_figures_missing_total",
    "Figures of finished programs that could not be read, by figure; cpu_percent is missing if there was no sample.",
    ("figure",),
    _each((Figure.CPU_TIME, Figure.THROTTLED, Figure.MEMORY_PEAK, Figure.PIDS_PEAK, "cpu_percent")),
)
WARM = Counter(
    "orchestrator_warm_containers_total",
    "Tasks that got a waiting container (taken), or a container of their own: the field or limit that differs, or none waited. "
    "Nothing is counted unless WARM is set.",
    ("result",),
    _each(Warmth),
)
LIVE_SENT = Counter(
    "orchestrator_live_output_bytes_total",
    "Bytes of output that were sent to those who follow.",
)
LIVE_SKIPPED = Counter(
    "orchestrator_live_output_skipped_bytes_total",
    "Bytes of output that were not sent while the program ran, because it writes faster than is sent; they are stored.",
)
LEASES_LOST = Counter(
    "orchestrator_leases_lost_total",
    "Leases of which the database said that somebody else has the task, or that it is gone.",
)
LEASE_RENEWAL = Histogram(
    "orchestrator_lease_renewal_seconds",
    "Duration of the call that renews all leases.",
)
SERVICE_ERRORS = Counter(
    "orchestrator_service_errors_total",
    "Calls of a service that failed; most of them are made again.",
    ("service",),
    _each(SERVERS),
)
SWEEP = Histogram(
    "orchestrator_sweep_seconds",
    "Duration of a sweep; one that another worker of the engine makes at this time is short.",
)
SWEEP_ERRORS = Counter(
    "orchestrator_sweep_errors_total",
    "Duties of the sweep's thread that were put off, because a service was away or for a fault of the worker.",
    ("kind",),
    _each(("service", FAULT)),
)
SWEPT = Counter(
    "orchestrator_sweep_actions_total",
    "What sweeps found and did, by action.",
    ("action",),
    _each(
        (
            *("adopt", "take_over", "enqueue", "settle", "remove", "discard", "remove_image"),
            *("delete", "remove_logs", "remove_artifacts", END_OVERDUE),
        )
    ),
)
RESCUED = Counter(
    "orchestrator_queue_rescued_total",
    "Entries of the queue that a worker took and did not begin, and that this process put back.",
)
FOREIGN = Counter(
    "orchestrator_queue_foreign_total",
    "Jobs of other applications or installations that this process took from the queue and put back.",
)

SLOTS = Gauge(
    "orchestrator_worker_slots",
    "Tasks that this worker may run at once.",
)
HELD = Gauge(
    "orchestrator_worker_tasks",
    "Tasks that this worker holds: those that run, and those that wait here for room.",
)
HEALTH = Gauge(
    "orchestrator_worker_health",
    "1 if it is so: alive and ready are the probes; draining, engine and database are their facts.",
    ("check",),
    _each(("alive", "ready", "draining", "engine", "database")),
)
BUILD = Gauge(
    "orchestrator_build_info",
    "1, with the versions of this process.",
    ("version", "python"),
    (),
)
QUEUE_JOBS = Gauge(
    "orchestrator_queue_jobs",
    "Jobs in the queue, also those of other applications. Every process that is asked tells the same.",
)
QUEUE_OLDEST = Gauge(
    "orchestrator_queue_oldest_seconds",
    "Age of the first job in the queue; 0 if there is none.",
)
QUEUE_WORKERS = Gauge(
    "orchestrator_queue_workers",
    "Workers that take from the queue; one that has just died may count for some minutes.",
)
TASK_OLDEST = Gauge(
    "orchestrator_task_oldest_queued_seconds",
    "Age of the oldest queued task in the database, whether or not it is in the queue; 0 if there is none.",
)
CLOCK = Gauge(
    "orchestrator_clock_offset_seconds",
    "How far the clock of the database is ahead of this host's.",
)
SERVER_UP = Gauge(
    "orchestrator_server_up",
    "1 if the server answered when its gauges were asked for last.",
    ("server",),
    _each(("mongodb", "redis")),
)


def declared() -> tuple[Metric, ...]:
    """All metrics, in the order of their names."""
    found = (value for value in globals().values() if isinstance(value, Metric))
    return tuple(sorted(found, key=lambda metric: metric.name))
