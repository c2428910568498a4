"""Connects a command to the services; the one place of the command line that does."""

import sys
from collections.abc import Collection, Mapping

import click

from orchestrator import log as logs
from orchestrator.cli.variables_here import variables
from orchestrator.client import Client
from orchestrator.settings.environment import names_api
from orchestrator.settings.settings import Settings
from orchestrator.wiring import ALL, Server, connect


def client(uses: Collection[Server] = ALL) -> Client:
    """The client that the caller of ``main`` handed in as ``obj``, or one for the servers that the environment names.

    A command that does not use all servers says which it uses: no setting of another stops it, nor is its library imported.
    Of what goes on underneath, stderr gets no more than warnings. Raises SettingsError.
    """
    given = click.get_current_context().find_object(Client)
    return given or _connected(variables(), uses)


def _connected(variables: Mapping[str, str], uses: Collection[Server]) -> Client:
    settings = Settings.load(variables)
    logs.configure(sys.stderr, json=False, level="WARNING", secrets=settings.secrets)
    if names_api(variables):
        from orchestrator.http_client.blocking import HttpClient  # noqa: PLC0415  its library is slow to import

        return HttpClient.of(settings)
    return Client(connect(settings, uses))
