"""Puts the runner of a process together from its services."""

from collections.abc import Callable
from datetime import datetime

from orchestrator.execution.admission import Admission, Capacity, Share
from orchestrator.execution.attempt_output import AttemptOutput
from orchestrator.execution.deployment import Deployment
from orchestrator.execution.leases import Leases
from orchestrator.execution.observer import Observer
from orchestrator.execution.program import Programs
from orchestrator.execution.room import Room
from orchestrator.execution.runner import Budgets, Runner
from orchestrator.execution.steps import Steps
from orchestrator.execution.steps.announce import Announce
from orchestrator.execution.steps.collect import Collect
from orchestrator.execution.steps.record import Record
from orchestrator.execution.steps.release import Release
from orchestrator.execution.steps.retry import Retry
from orchestrator.execution.steps.start import Start
from orchestrator.execution.steps.upload import Upload
from orchestrator.execution.steps.wait import Wait
from orchestrator.metrics.measurements import Measurements
from orchestrator.output.ahead import AheadSender
from orchestrator.output.live import LiveSender
from orchestrator.ports import Engine, EventBus, LiveOutput, ObjectStore, TaskStore
from orchestrator.retrying import Retrier
from orchestrator.settings.settings import Settings
from statemachine import Trigger


def assembled(
    settings: Settings,
    store: TaskStore,
    events: EventBus,
    live: LiveOutput | None,
    logs: ObjectStore,
    engine: Engine,
    home: Deployment,
    retrier: Retrier,
    now: Callable[[], datetime],
    measured: Measurements,
) -> Runner:
    """Runs tasks on these services."""
    leases = Leases(store, settings.name, settings.lease_ttl, retrier, measured, now)
    sender = LiveSender(live, home, settings.live_output, measured)
    programs = Programs(engine, settings.rules, home, leases, store, sender, AheadSender(logs), settings.stop_grace)
    output = AttemptOutput(programs)
    collect = Collect(programs, output)
    start = Start(
        programs,
        worker=settings.name,
        user=settings.default_user,
        runtime=settings.runtime,
        pull_policy=settings.pull_policy,
        pull_timeout=settings.pull_timeout,
        measured=measured,
    )
    steps = Steps(
        work={
            Trigger.START: start,
            Trigger.WAIT: Wait(programs),
            Trigger.COLLECT: collect,
            Trigger.UPLOAD: Upload(logs, home, output),
            Trigger.RETRY: Retry(engine),
        },
        collect=collect,
        record=Record(store, now, retrier, settings.name, settings.keep_max),
        announce=Announce(events, home),
        release=Release(engine, store, logs, home),
        observer=Observer(measured),
    )
    budgets = Budgets(settings.retry_budget, settings.upload_budget, settings.max_attempts)
    admission = Admission(lambda: _capacity(engine, settings), settings.concurrency)
    room = Room(admission, programs, retrier, budgets.work)
    return Runner(leases, programs, steps, steps.lifecycle(settings.rules), retrier, budgets, room)


def _capacity(engine: Engine, settings: Settings) -> Capacity:
    host = engine.host()
    return Capacity.of(Share(host.cpus, host.memory), settings.cpu_overcommit, settings.memory_budget)
