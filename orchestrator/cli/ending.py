"""How a command ends when something is wrong: one sentence for each problem, an exit code, never a traceback."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from orchestrator.cli.page import GroupedCommand
from orchestrator.cli.terminal import drop_output, say
from orchestrator.errors import STORAGE, InfrastructureError, InvalidTask, OrchestratorError, SettingsError

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
OWN_ERROR = 125
"""What `docker run` ends with when the trouble is not the program's."""

HANDED_IN = "orchestrator.handed_in"
"""What the context keeps True under, from when a task is being handed in."""


def nothing_handed_in() -> NoReturn:
    """After Ctrl-C: say so, and end."""
    say("nothing was handed in", err=True)
    raise click.exceptions.Exit(INTERRUPTED)


def end(error: OrchestratorError, code: int) -> NoReturn:
    """Say what is wrong on stderr and end with ``code``."""
    for sentence in _sentences(error):
        say(f"Error: {sentence}", err=True)
    raise click.exceptions.Exit(code) from error


def tell(error: OSError) -> None:
    """Say what the system refuses: a file, or output, for which nothing is written any more. A closed pipe needs no words."""
    drop_output()
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            say(f"Error: {error.filename or 'the output cannot be written'}: {error.strerror or error}", err=True)


def _sentences(error: OrchestratorError) -> Sequence[str]:
    if isinstance(error, InvalidTask):
        return error.problems
    if isinstance(error, SettingsError):
        from orchestrator.cli.variables_here import located  # noqa: PLC0415  --help needs no settings

        return [*map(located, str(error).splitlines())]
    return [_no_servers(error) or str(error)]


def _no_servers(error: OrchestratorError) -> str:
    """That nothing says where the servers are, if one was not reached; else empty."""
    if not isinstance(error, InfrastructureError) or error.service not in _VARIABLES:
        return ""
    kinds = {kind.__name__ for kind in type(error.__cause__).__mro__}
    if not kinds & _UNREACHED or kinds & _ANSWERED:
        return ""
    from orchestrator.cli.variables_here import names_a_server  # noqa: PLC0415  --help needs no settings

    with suppress(SettingsError):
        if not names_a_server():
            variable = _VARIABLES[error.service]
            return f"no servers: `orchestrator up` does not run in this folder or above; start it or set {variable}"
    return ""


_VARIABLES = {"mongodb": "MONGO_URI", "redis": "REDIS_URL", STORAGE: "MINIO_ENDPOINT"}
_UNREACHED = {"ConnectionFailure", "ConnectionError", "HTTPError"}
_ANSWERED = {"AuthenticationError"}
"""What the libraries call it, which need not be imported for that: no connection; and a kind of that which is an answer."""


_NOT_MOUNTED = "nothing of the host is mounted here; --mount-file gives the task a file"
_NO_TERMINAL = "a task has no terminal; -i hands it stdin, which is read to its end"
_NO_PORT = "a task has no port that is reached from outside"
_HABITS = {
    "--rm": "it is always so here: a container goes with its task",
    "--name": "a task has an id: --id",
    "--volume": _NOT_MOUNTED,
    "-v": _NOT_MOUNTED,
    "--mount": _NOT_MOUNTED,
    "--tty": _NO_TERMINAL,
    "-t": _NO_TERMINAL,
    "--interactive": "it is --stdin here, or -i",
    "--detach": "use `orchestrator submit`, which prints the id and does not wait",
    "-d": "use `orchestrator submit`, which prints the id and does not wait",
    "--publish": _NO_PORT,
    "-p": _NO_PORT,
    "--privileged": "a task gets no rights beyond its own",
    "--read-only": "it is always so here; /tmp can be written",
    "--pull": "PULL_POLICY of the worker says when images are pulled",
}
"""What to do in place of options of `docker run` that are not there."""


class TaskCommand(GroupedCommand):
    """A command whose exit code may be a program's: whatever is wrong with the command itself is 125, as with `docker run`."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*args, **more)
        except click.NoSuchOption as error:
            if why := _HABITS.get(error.option_name):
                say(f"Error: {error.option_name}: {why}", err=True)
            else:
                error.show()
            raise click.exceptions.Exit(OWN_ERROR) from error
        except click.UsageError as error:
            error.show()
            raise click.exceptions.Exit(OWN_ERROR) from error

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OrchestratorError as error:
            end(error, OWN_ERROR)
        except OSError as error:
            tell(error)
            raise click.exceptions.Exit(OWN_ERROR) from None
