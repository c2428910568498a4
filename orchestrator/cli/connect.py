"""Connects a command to the services; the one place of the command line that does."""

import click

from orchestrator.cli.environment import environment
from orchestrator.client import Client
from orchestrator.connect import connect
from orchestrator.settings import Settings


def client() -> Client:
    """The client that the caller of ``main`` handed in as ``obj``, or one for the servers that the environment names.

    Raises SettingsError.
    """
    given = click.get_current_context().find_object(Client)
    return given or Client(connect(Settings.load(environment())))
