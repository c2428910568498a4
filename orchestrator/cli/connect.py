"""Connects a command to the services; the one place of the command line that does."""

import sys

import click

from orchestrator import logs
from orchestrator.cli.environment import environment
from orchestrator.client import Client
from orchestrator.connect import connect
from orchestrator.settings import Settings


def client() -> Client:
    """The client that the caller of ``main`` handed in as ``obj``, or one for the servers that the environment names.

    Of what goes on underneath, stderr gets no more than warnings. Raises SettingsError.
    """
    given = click.get_current_context().find_object(Client)
    return given or _connected(Settings.load(environment()))


def _connected(settings: Settings) -> Client:
    logs.configure(sys.stderr, json=False, level="WARNING", secrets=settings.secrets)
    return Client(connect(settings))
