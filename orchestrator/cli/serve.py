"""The `serve` command: the HTTP API."""

import signal
import sys
from typing import NoReturn

import click

from orchestrator import log as logs
from orchestrator import wiring
from orchestrator.cli.page import examples
from orchestrator.cli.variables_here import variables
from orchestrator.errors import SettingsError
from orchestrator.release import how_to_install
from orchestrator.settings.settings import Settings
from orchestrator.wiring import Server


@click.command(
    "serve",
    epilog=examples(
        "orchestrator serve --port 9090",
        "API_TOKENS=tokens orchestrator serve --host 0.0.0.0",
    ),
)
@click.option("--host", metavar="HOST", help="Address to listen on. Default: API_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Port. Default: API_PORT, or 8080; 0: any free one.")
@click.option("--fd", type=click.IntRange(3), hidden=True, help="A socket that listens already, in place of host and port.")
def serve_command(host: str | None, port: int | None, fd: int | None) -> None:
    """Serve the HTTP API and the page until told to stop.

    Without API_TOKENS only this host can reach it, and may do all. `/docs` describes it.
    """
    given = {"API_HOST": host, "API_PORT": None if port is None else str(port)}
    settings = Settings.load({**variables(), **{name: value for name, value in given.items() if value}})
    wiring.check(settings, wiring.ALL - {Server.DOCKER})
    logs.configure(sys.stderr, secrets=settings.secrets)
    try:
        from orchestrator.server.serving import serve  # noqa: PLC0415  its libraries are an extra
    except ModuleNotFoundError as error:
        raise SettingsError(f"the HTTP API needs {error.name}: {how_to_install('server')}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    serve(settings, fd)


def _end(*_: object) -> NoReturn:
    """Before it serves, and once it has stopped serving; in between the signal is the server's."""
    raise SystemExit(0)
