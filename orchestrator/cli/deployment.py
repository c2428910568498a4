"""The `deployment` command: whose database this is, and what other deployments have on the engine."""

import re
import shutil
import uuid
from collections.abc import Sequence

import click

from orchestrator.app import Services
from orchestrator.cli.connect import client
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Owned, Phase
from orchestrator.reconcile.database_identity import Memory


def _id(_context: click.Context, _parameter: click.Parameter, given: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", given):
        raise click.UsageError(f"DEPLOYMENT: {given!r} is no id: 32 of the signs 0-9 and a-f, as `deployment` shows them")
    return given


@click.group(
    "deployment",
    invoke_without_command=True,
    epilog=examples(
        "orchestrator deployment",
        "orchestrator deployment new --yes",
    ),
)
@click.pass_context
def deployment_command(context: click.Context) -> None:
    """Show whose database this is and which containers are on the engine; or say which database is live.

    The settings of workers have to be those of this command: SPOOL_DIR has what this host remembers.
    """
    if context.invoked_subcommand is None:
        _show(client().services)


@deployment_command.command("live")
def live_command() -> None:
    """Say that the database replaces the original, which is gone: it keeps the deployment's id, and so its containers."""
    services = client().services
    services.store.settle_in(services.store.origin().id or services.store.deployment())
    _show(services)


@deployment_command.command("new")
@click.option("--yes", is_flag=True, help="Also where the database is no copy as far as its server tells.")
def new_command(*, yes: bool) -> None:
    """Say that the database is a copy and the original lives on: it gets an id of its own, and nothing of the original's.

    Tasks that are queued in the copy run once more, on its own workers: cancel those that should not, before these start.
    """
    services = client().services
    origin = services.store.origin()
    if not (origin.is_copy or yes):
        raise click.UsageError(
            "this database is no copy as far as its server tells, and with a new id its tasks lose their containers; "
            "if it is a copy of the server's files, add --yes"
        )
    services.store.settle_in(uuid.uuid4().hex, [origin.id] if origin.id else [])
    _show(services)


@deployment_command.command("take")
@click.argument("deployment", callback=_id)
def take_command(deployment: str) -> None:
    """Go on as DEPLOYMENT, an earlier id of this database: tasks have its containers again. Stop all workers before."""
    services = client().services
    _expect_no_copy(services)
    if not _has_left_something(services, deployment):
        raise click.UsageError(
            f"nothing here is of {deployment}: no container on this engine, no note in the database, none in SPOOL_DIR"
        )
    services.store.go_on_as(deployment, {services.store.deployment()} - {deployment})
    _show(services)


@deployment_command.command("remove")
@click.argument("deployment", callback=_id)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_command(deployment: str, *, yes: bool) -> None:
    """Go on without DEPLOYMENT, whose database is lost: remove its containers from this engine and its output from SPOOL_DIR.

    To be run for each engine that it had.
    """
    services = client().services
    _expect_no_copy(services)
    own = services.store.deployment()
    if deployment == own:
        raise click.UsageError(f"{deployment} is the deployment of this database; only what another one left can be removed")
    owned = services.engine.owned(deployment)
    if not yes:
        runs = _running(services, owned)
        what = f"{len(owned)} containers and volumes of {deployment}, {runs} of which run"
        click.confirm(f"Remove {what}, and end its programs?", abort=True)
    for each in owned:
        services.engine.remove(each.name, deployment)
    _forget_output(services, deployment)
    services.store.go_on_as(own, [deployment])
    say(f"removed what {deployment} had here: {len(owned)} containers and volumes")


def _expect_no_copy(services: Services) -> None:
    if services.store.origin().is_copy:
        raise click.UsageError(
            "this database is a copy: run `orchestrator deployment live` first if it replaces the original, or "
            "`orchestrator deployment new` if the original lives on"
        )


def _has_left_something(services: Services, deployment: str) -> bool:
    origin = services.store.origin()
    known = {origin.id, *origin.former, Memory.of(services.settings).known}
    return deployment in known or bool(services.engine.owned(deployment))


def _running(services: Services, owned: Sequence[Owned]) -> int:
    return sum(_runs(services, name) for name in {each.name for each in owned})


def _runs(services: Services, name: str) -> bool:
    try:
        return services.engine.inspect(name).phase is Phase.RUNNING
    except ContainerMissing:
        return False


def _forget_output(services: Services, deployment: str) -> None:
    """An id that is no name of a folder directly in the spool has none there."""
    spool = services.settings.spool_dir
    folder = spool / deployment
    if folder.parent == spool and folder.is_dir() and not folder.is_symlink():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise InfrastructureError("spool", f"{folder} cannot be removed: {error}") from error


def _show(services: Services) -> None:
    own = services.store.origin().id
    say(f"deployment {own or 'none yet'}")
    if why := services.objection():
        say(f"stopped: {why}")
    for deployment, count in sorted(services.engine.deployments().items()):
        say(f"{count} containers of {'this deployment' if deployment == own else deployment}")
