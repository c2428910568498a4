"""Connects a command to the services; the one place of the command line that does."""

import sys

import click

from orchestrator import log as logs
from orchestrator.client import Client
from orchestrator.settings.environment import environment
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect


def client(*, engine: bool = True) -> Client:
    """The client that the caller of ``main`` handed in as ``obj``, or one for the servers that the environment names.

    A command that never uses the engine says so, and is not stopped by a setting of it.
    Of what goes on underneath, stderr gets no more than warnings. Raises SettingsError.
    """
    given = click.get_current_context().find_object(Client)
    return given or _connected(Settings.load(environment()), engine=engine)


def _connected(settings: Settings, *, engine: bool) -> Client:
    logs.configure(sys.stderr, json=False, level="WARNING", secrets=settings.secrets)
    return Client(connect(settings, engine=engine))
