"""The `completion` command: what click's own scripts make of the command line."""

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.page import examples
from orchestrator.cli.terminal import hand_on

SHELLS = ("bash", "zsh", "fish")
_PROGRAM, _ASKS = "orchestrator", "_ORCHESTRATOR_COMPLETE"
"""The variable by which the shell's script asks this program what may follow."""


@click.command(
    "completion",
    epilog=examples(
        'eval "$(orchestrator completion bash)"',
        "orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print a script that has the shell complete commands, flags and their values.

    As in `eval "$(orchestrator completion bash)"`, or in fish: `orchestrator completion fish | source`.
    """
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    made = found(click.get_current_context().find_root().command, {}, _PROGRAM, _ASKS)
    hand_on(made.source_template % made.source_vars())
