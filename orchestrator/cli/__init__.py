"""The command line. Each command is a module of its own, imported when it is used, so that ``--help`` answers at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.ending import FAILED, HANDED_IN, MISUSED, end, nothing_handed_in, tell
from orchestrator.cli.terminal import bear_any_text, flush, open_missing
from orchestrator.errors import AmbiguousId, OrchestratorError, SettingsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "up": ("up", "Start the servers that are missing and a worker."),
    "down": ("down", "Stop what `up` runs."),
    "run": ("run", "Run a program as a task and print what it prints."),
    "submit": ("submit", "Hand in a task and print its id."),
    "show": ("show", "Show a task."),
    "list": ("show", "List the newest tasks."),
    "stats": ("figures", "Tell what waits, how much gets done, and what workers run."),
    "top": ("figures", "Show what the programs of running tasks use."),
    "logs": ("show", "Print what the program of a task has printed."),
    "artifacts": ("artifacts", "List, print or fetch the files that a task has left in /out."),
    "cancel": ("cancel", "Ask for a task to be cancelled."),
    "rm": ("remove", "Delete ended tasks with their logs and artifacts."),
    "env": ("variables", "Print the settings for a shell or another program."),
    "exec": ("variables", "Run a program with the settings in its environment."),
    "serve": ("serve", "Serve the HTTP API and the page until told to stop."),
    "token": ("token", "Print a new token for the HTTP API."),
    "worker": ("worker", "Work on tasks from the queue until told to stop."),
    "doctor": ("doctor", "Check settings, servers and engine; say what to do."),
    "sweep": ("sweep", "Mend what is lost or left behind."),
    "deployment": ("deployment", "Show whose database this is; say which one is live."),
    "completion": ("completion", "Print what has a shell complete commands and flags."),
    "health": ("health", "Tell by the exit code whether a worker can work here."),
}
"""Each command's module and its line on the help page, in the order of the page."""
_CALLED = "orchestrator.command"
"""What the context keeps the command's name under, from before it is imported."""
_HANDING_IN = frozenset({"run", "submit"})


class Commands(click.Group):
    """Knows the commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of this name."""
        ctx.meta[_CALLED] = cmd_name
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """What may follow: of the commands, their names from the table, for imports would make the shell wait."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  a shell asks for it, nobody else

        lines = {name: line for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)}
        own = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=line) for name, line in lines.items()), *own]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Their part of the help page."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(self, *args: Any, **more: Any) -> Any:
        """Read the command line and run it, and see to it that what it prints arrives."""
        open_missing()
        bear_any_text()
        try:
            try:
                return super().main(*args, **more)
            finally:
                flush()
        except OSError as error:
            tell(error)
            raise SystemExit(FAILED) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run one of them."""
        try:
            return super().invoke(ctx)
        except (SettingsError, AmbiguousId) as error:
            end(error, MISUSED)
        except OrchestratorError as error:
            end(error, FAILED)
        except KeyboardInterrupt:
            if ctx.meta.get(_CALLED) in _HANDING_IN and HANDED_IN not in ctx.meta:
                nothing_handed_in()
            raise


@click.group(
    cls=Commands, invoke_without_command=True, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--no-env-file", is_flag=True, help="Do not read the file .env of the current folder.")
@click.option("--version", is_flag=True, help="Print the version; with -v also those of the engine and the servers.")
@click.option("--verbose", "-v", is_flag=True, help="With --version: more of them.")
@click.pass_context
def main(context: click.Context, *, no_env_file: bool, version: bool, verbose: bool) -> None:  # noqa: ARG001
    """Run programs as tasks in isolated Docker containers: queued, limited, watched, their output kept.

    Settings are environment variables and, for those not set, the lines NAME=value of a file .env in the current folder. Where
    `orchestrator up` runs, in its folder or below it, none need to be set.
    """
    if version:
        from orchestrator.cli.versions import print_versions  # noqa: PLC0415  few ask for it

        print_versions(verbose=verbose)
        context.exit()
    if verbose:
        raise click.UsageError("-v goes with --version")
    if context.invoked_subcommand is None:
        raise click.UsageError("Missing command.")
