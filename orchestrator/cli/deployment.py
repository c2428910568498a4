"""The `deployment` command: whose database this is, and what other deployments have on the engine."""

import shutil
import uuid

import click

from orchestrator.cli.connect import client
from orchestrator.cli.terminal import say
from orchestrator.errors import InfrastructureError
from orchestrator.request import is_id
from orchestrator.services import Services


@click.group("deployment", invoke_without_command=True)
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
def new_command() -> None:
    """Say that the database is a copy and the original lives on: it gets an id of its own, and nothing of the original's.

    Tasks that are queued in the copy run once more, on its own workers: cancel those that should not.
    """
    services = client().services
    services.store.settle_in(uuid.uuid4().hex, [services.store.origin().id])
    _show(services)


@deployment_command.command("take")
@click.argument("deployment")
def take_command(deployment: str) -> None:
    """Go on as DEPLOYMENT, an earlier id of this database: tasks have its containers again. Stop all workers before."""
    if not is_id(deployment):
        raise click.UsageError(
            f"{deployment!r} is no id of a deployment: letters, digits and hyphens, as `deployment` shows them"
        )
    services = client().services
    services.store.settle_in(deployment, {services.store.deployment()} - {deployment})
    _show(services)


@deployment_command.command("remove")
@click.argument("deployment")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_command(deployment: str, *, yes: bool) -> None:
    """Go on without DEPLOYMENT, whose database is lost: remove its containers from this engine and its output from SPOOL_DIR.

    To be run for each engine that it had.
    """
    services = client().services
    own = services.store.deployment()
    if deployment == own:
        raise click.UsageError(f"{deployment} is the deployment of this database; only what another one left can be removed")
    owned = services.engine.owned(deployment)
    if not yes:
        click.confirm(f"Remove {len(owned)} containers and volumes of {deployment}, and end its programs?", abort=True)
    for each in owned:
        services.engine.remove(each.name, deployment)
    _forget_output(services, deployment)
    services.store.settle_in(own, [deployment])
    say(f"removed what {deployment} had here: {len(owned)} containers and volumes")


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
