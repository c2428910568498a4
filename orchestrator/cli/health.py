"""The `health` command, for a container's health check: cheap, and quiet when all is well."""

import urllib.error
from collections.abc import Callable

import click
from pymongo.errors import PyMongoError
from redis import RedisError

from orchestrator.cli.loopback import opened
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.cli.variables_here import variables
from orchestrator.doctor import mongo, redis
from orchestrator.doctor.finding import reason
from orchestrator.settings.settings import Settings
from orchestrator.wiring import ALL, Server, check

_SECONDS = 2.0
_AWAY = (PyMongoError, RedisError, ValueError, OSError)


@click.command(
    "health",
    epilog=examples(
        "orchestrator health",
        "HEALTH_PORT=8080 orchestrator health",
    ),
)
def health_command() -> None:
    """Exit with 0 when all is well, within some seconds.

    With HEALTH_PORT set, the worker of this machine is asked whether it lives. Else, whether one can work here: the settings
    are well-formed, and MongoDB and Redis answer.
    """
    settings = Settings.load(variables())
    check(settings, ALL - {Server.DOCKER})
    well = [_answers(name, ask) for name, ask in _questions(settings).items()]
    click.get_current_context().exit(0 if all(well) else 1)


def _questions(settings: Settings) -> dict[str, Callable[[], None]]:
    if settings.health_port:
        return {"the worker": lambda: _ask(f"http://{_reached(settings.health_host)}:{settings.health_port}/healthz")}
    return {"MongoDB": lambda: mongo.ping(settings, _SECONDS), "Redis": lambda: redis.ping(settings, _SECONDS)}


def _reached(host: str) -> str:
    """An address that reaches what listens on this one."""
    if host == "0.0.0.0":  # noqa: S104  what is asked is loopback
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _ask(url: str) -> None:
    """Raises HTTPError, which is an OSError, when the worker says that it does not live."""
    with opened(url, _SECONDS):
        pass


def _answers(name: str, ask: Callable[[], None]) -> bool:
    try:
        ask()
    except urllib.error.HTTPError as error:
        with error:
            say(f"{name} does not live: {error.read().decode(errors='replace')}", err=True)
        return False
    except _AWAY as error:
        say(f"{name} does not answer: {reason(error)}", err=True)
        return False
    return True
