"""The commands that hand the settings on to other programs: `env` prints them, `exec` runs a program with them."""

import json as codec
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.cli.page import examples
from orchestrator.cli.terminal import hand_on, say
from orchestrator.cli.variables_here import variables
from orchestrator.errors import SettingsError
from orchestrator.settings.settings import options, variable

SH, FISH = "sh", "fish"
_NO_PROGRAM, _NOT_RUN = 127, 126
"""What env(1) and shells end with when there is no such program, and when it cannot be run."""
_data = click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of an `orchestrator up --data`.")


@click.command(
    "env",
    epilog=examples(
        'eval "$(orchestrator env)"',
        "orchestrator env --json | jq -r .MONGO_URI",
    ),
)
@click.option("--shell", type=click.Choice([SH, FISH]), default=SH, show_default=True, help="The shell that reads it.")
@click.option("--json", is_flag=True, help="Print one JSON object of names and values.")
@_data
def env_command(shell: str, *, json: bool, data: Path | None) -> None:
    """Print the settings that are set here, or that an `orchestrator up` has set, passwords too, for a shell to evaluate.

    As in `eval "$(orchestrator env)"`, or in fish: `orchestrator env --shell fish | source`.
    """
    settings = _settings(data)
    if not settings:
        raise SettingsError("no setting is set, and no `orchestrator up` runs in this folder or above it")
    if json:
        hand_on(codec.dumps(settings, indent=2))
        return
    for name, value in settings.items():
        hand_on(f"set -gx {name} {_quoted_for_fish(value)}" if shell == FISH else f"export {name}={shlex.quote(value)}")


@click.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    epilog=examples(
        "orchestrator exec -- python3 my_client.py",
        "orchestrator exec --data /srv/orchestrator -- rq info",
    ),
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@_data
def exec_command(program: tuple[str, ...], data: Path | None) -> None:
    """Run a program with the settings in its environment, as in `orchestrator exec -- PROGRAM ARGUMENT`."""
    handed_on = {**os.environ, **variables(data)}
    try:
        os.execvpe(program[0], program, handed_on)  # noqa: S606  no shell is the point of it
    except OSError as error:
        say(f"Error: {program[0]!r} cannot be run: {error.strerror}", err=True)
        raise click.exceptions.Exit(_NO_PROGRAM if isinstance(error, FileNotFoundError) else _NOT_RUN) from None


def _settings(data: Path | None) -> Mapping[str, str]:
    found = variables(data)
    return {name: found[name] for name in map(variable, options()) if name in found}


def _quoted_for_fish(value: str) -> str:
    """In single quotes, where fish reads a backslash before a backslash or a quote."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
