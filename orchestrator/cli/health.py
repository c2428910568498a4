"""The `health` command, for a container's health check: cheap, and quiet when all is well."""

from collections.abc import Callable

import click
from pymongo.errors import PyMongoError
from redis import RedisError

from orchestrator.cli.checks import mongo, redis
from orchestrator.cli.checks.finding import reason
from orchestrator.cli.environment import environment
from orchestrator.settings import Settings

_SECONDS = 2.0


@click.command("health")
def health_command() -> None:
    """Exit with 0 when a worker can work here: the settings are well-formed, and MongoDB and Redis answer within 2 s."""
    settings = Settings.load(environment())
    well = [
        _answers("MongoDB", lambda: mongo.ping(settings, _SECONDS)),
        _answers("Redis", lambda: redis.ping(settings, _SECONDS)),
    ]
    click.get_current_context().exit(0 if all(well) else 1)


def _answers(name: str, ping: Callable[[], None]) -> bool:
    try:
        ping()
    except (PyMongoError, RedisError, ValueError) as error:
        click.echo(f"{name} does not answer: {reason(error)}", err=True)
        return False
    return True
