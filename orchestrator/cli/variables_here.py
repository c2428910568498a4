"""The variables that a command reads its settings from, and where one of them was set. Knows the option --no-env-file."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.settings.environment import ENV_FILE, SERVERS, environment, given_variables, line_of


def variables(data: Path | None = None) -> Mapping[str, str]:
    """The environment, then `.env` in the current folder, then what an `up` has written. Raises SettingsError."""
    return environment(data=data, env_file=_env_file())


def variables_of_the_user() -> dict[str, str]:
    """The same without what an `up` has written. Raises SettingsError."""
    return given_variables(env_file=_env_file())


def located(sentence: str) -> str:
    """A sentence about settings, with file and line before it where `.env` set one of them."""
    for name in sentence.partition(":")[0].split(", "):
        line = None if os.environ.get(name) or _env_file() is None else line_of(name, ENV_FILE)
        if line is not None:
            return f"{ENV_FILE}, line {line}: {sentence}"
    return sentence


def names_a_server() -> bool:
    """Whether anything names one: a variable, `.env`, or an `up` that runs. Raises SettingsError."""
    return any(name.removesuffix("_FILE") in SERVERS for name in variables())


def _env_file() -> Path | None:
    context = click.get_current_context(silent=True)
    left_out = context is not None and context.find_root().params.get("no_env_file")
    return None if left_out else ENV_FILE
