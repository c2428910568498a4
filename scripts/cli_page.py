"""The generated page about the command line, made from what its own help is made from."""

from collections.abc import Iterator

import click

from orchestrator.cli import main
from orchestrator.cli.page import GroupedCommand, example_lines, grouped
from scripts.pages import NOTICE

_PAGE = """# The command line

`orchestrator COMMAND`, or `python -m orchestrator COMMAND`. What a command needs to know about servers it reads from
[environment variables](settings.md) and the file `.env` of the current folder, which `--no-env-file` before the command leaves
out. Where `orchestrator up` runs, in its folder or below it, none need to be set.

`orchestrator --version` prints the version; with `-v` also those of the engine and the servers, each on a line.
`eval "$(orchestrator completion bash)"` has the shell complete commands and flags; there is `zsh` and `fish`, too.

| exit code | of | meaning |
| --- | --- | --- |
| 0 | all | it was done; `run`: the program exited with 0; `doctor`, `health`: all is well |
| 1 | all but `run` and `submit` | it could not be done, or its output not be written; the sentence on stderr says why |
| 2 | all but `run` and `submit` | a flag or a setting has a bad value; each is named |
| 3 | `worker` | it left while tasks still ran, for the next worker to go on with |
| 124 | `run` | the program ran out of time |
| 125 | `run`, `submit` | not the program's doing: a bad value, a server that is away, no such image, too much output |
| 126, 127 | `exec` | the program cannot be run, or there is none of this name |
| 130 | `run`, `submit` | Ctrl-C; stderr says whether a task was handed in, and that it goes on |
| others | `run`, `exec` | the program's own; `run`: 128 + n when signal n ended it |
"""


def cli_page() -> str:
    """Every command with its usage, its flags and what they mean."""
    root = click.Context(main, info_name="orchestrator")
    return f"{NOTICE}{_PAGE}" + "".join(_command(root, name) for name in main.list_commands(root))


def _command(root: click.Context, name: str) -> str:
    command = main.get_command(root, name)
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=root)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    flags = "".join(f"| {flag} | {meaning} |\n" for flag, meaning in _flags(command, context))
    table = f"\n| flag | meaning |\n| --- | --- |\n{flags}" if flags else ""
    shown = "".join(f"    {line}\n" for line in example_lines(command))
    return f"\n## {name}\n\n```\n{usage}\n```\n\n{_prose(command)}\n\n{shown}{table}"


def _flags(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Those of the command, and where they are in groups, a row for the name of each; --help is on every page."""
    for group, records in grouped(command, context).items():
        own = [record for record in records if "--help" not in record[0]]
        if own and isinstance(command, GroupedCommand):
            yield f"**{group}**", ""
        yield from ((f"`{flag}`".replace("|", "\\|"), meaning.replace("|", "\\|")) for flag, meaning in own)


def _prose(command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
