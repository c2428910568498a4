"""The `worker` command: makes ready, then works until told to stop."""

import os
import sys
from collections.abc import Callable
from contextlib import closing, suppress

import click

from orchestrator import log as logs
from orchestrator import private_files as private
from orchestrator import tasks, wiring
from orchestrator.app import Services
from orchestrator.cli.page import examples
from orchestrator.cli.variables_here import variables
from orchestrator.errors import InfrastructureError, SettingsError
from orchestrator.log import logger
from orchestrator.reconcile.reconciler import end_overdue
from orchestrator.retrying import Failure, Retrier
from orchestrator.settings.settings import Settings
from orchestrator.urls import place
from orchestrator.worker import health
from orchestrator.worker.engine_watch import EngineWatch
from orchestrator.worker.health import Health, Page, watch_worker
from orchestrator.worker.reconcile_loop import Keeper
from orchestrator.worker.redis_retry import connect
from orchestrator.worker.service_manager import ServiceManager
from orchestrator.worker.worker import ThreadWorker

HANDED_OVER = 3
"""The exit code when tasks were left running for another worker to take up."""


@click.command(
    "worker",
    epilog=examples(
        "orchestrator worker --concurrency 8",
        "orchestrator worker --name here --drain-timeout 30m",
    ),
)
@click.option("--concurrency", type=click.IntRange(1, 1000), metavar="N", help="Tasks at once. Default: CONCURRENCY, or 4.")
@click.option("--drain-timeout", metavar="TIME", help="Longest wait once told to stop. Default: DRAIN_TIMEOUT, or 1h.")
@click.option("--name", metavar="NAME", help="Name in documents and labels. Default: WORKER_NAME, or host name and process id.")
def worker_command(concurrency: int | None, drain_timeout: str | None, name: str | None) -> None:
    """Work on tasks from the queue until told to stop.

    The first SIGTERM or Ctrl-C takes nothing new and lets what runs end, for the drain timeout at most. Then, or at a second
    one, the worker leaves: containers run on, and the next worker goes on with their tasks.
    """
    given = {"CONCURRENCY": concurrency, "DRAIN_TIMEOUT": drain_timeout, "WORKER_NAME": name}
    own = {**variables(), **{option: str(value) for option, value in given.items() if value}}
    settings = Settings.load(own)
    wiring.check(settings)
    os.environ.update(own)  # the function that the queue's entries name reads its settings there
    _refuse_a_shared_spool(settings)
    logs.configure(sys.stderr, secrets=settings.secrets)
    logger.info(_places(settings))
    wiring.expect_new_engine(settings)
    services = _when_ready(settings)
    drained = _work(services)
    sys.stderr.flush()
    os._exit(0 if drained else HANDED_OVER)  # an ordinary exit may wait for threads that still hold a task


def _refuse_a_shared_spool(settings: Settings) -> None:
    """A folder that another user can change is no place for output; a disk that is full now may have room later."""
    try:
        private.make(settings.spool_dir)
    except private.Unsafe as error:
        raise SettingsError(f"SPOOL_DIR: {error}") from None
    except OSError as error:
        logger.warning("the spool is not ready: {}", error)


def _work(services: Services) -> bool:
    """Work, sweep and answer probes until told to stop; whether all tasks ended."""
    settings, leases, admission = services.settings, services.runner.leases, services.runner.room.admission
    manager = ServiceManager()

    def drain() -> None:
        manager.stopping()
        admission.close()

    worker = ThreadWorker(
        connect(settings.redis_url),
        settings.queue,
        settings.concurrency,
        settings.name,
        hand_over=leases.hand_over,
        others=lambda: leases.count,
        ready=lambda: manager.ready(lives),
        drain=drain,
        begun=lambda: leases.busy,
        places=lambda: 0 if services.halted else admission.places,
        drain_timeout=settings.drain_timeout,
        result_ttl=settings.result_ttl,
        are_ours=services.are_ours,
        measured=services.measured,
        engine=lambda: keeper.engine,
        held=lambda: leases.ids,
    )
    keeper = Keeper(services, lambda: worker.stopping)
    watch = EngineWatch(services.engine.host)

    def lives() -> bool:
        return worker.alive and leases.alive and keeper.alive

    def state() -> Health:
        return Health(lives(), worker.stopping, leases.count, watch.answers, not services.halted)

    if settings.health_port:
        watch_worker(services.measured, settings.concurrency, state)
        _answer_probes(settings, state, lambda: _exposition(services))
        watch.start()
    keeper.start()
    with closing(manager):
        drained = worker.run()
    with suppress(InfrastructureError):
        services.let_cool()
    return drained


def _exposition(services: Services) -> Page:
    from orchestrator.metrics import exporter  # noqa: PLC0415  takes 50 ms, and many workers are never asked

    return Page(200, exporter.CONTENT_TYPE, exporter.exposition(services))


def _answer_probes(settings: Settings, state: Callable[[], Health], exposition: Callable[[], Page]) -> None:
    host, port = settings.health_host, settings.health_port
    try:
        health.serve(port, state, host, exposition)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(f"HEALTH_HOST, HEALTH_PORT: no probe can be answered on {host}:{port}: {why}") from None


def _places(settings: Settings) -> str:
    """What the worker works with, without secrets."""
    return (
        f"queue {settings.queue} on Redis {place(settings.redis_url)}, MongoDB {place(settings.mongo_uri)}"
        f"/{settings.mongo_db_name}, S3 {settings.minio_endpoint}/{settings.minio_bucket}, engine {settings.docker_host}, "
        f"{settings.concurrency} tasks at once"
    )


def _when_ready(settings: Settings) -> Services:
    """Servers that start beside the worker are waited for; meanwhile programs are held to their time limits."""
    engine = wiring.connect(settings, {wiring.Server.DOCKER}).engine

    def meanwhile(failure: Failure) -> None:
        logger.warning("not ready yet: {}", failure.error)
        with suppress(InfrastructureError):
            end_overdue(engine, settings.stop_grace)

    return Retrier(told=meanwhile).for_at_most(settings.retry_budget, tasks.services)
