"""The `token` command: a new token for the HTTP API."""

import click

from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.server.tokens import Scope, new_token


@click.command("token", epilog=examples("orchestrator token ci submit", "orchestrator token dashboard read"))
@click.argument("name")
@click.argument("scope", type=click.Choice([*map(str, Scope)]))
def token_command(name: str, scope: str) -> None:
    """Print a new token for the HTTP API, and the line that stands for it in the file that API_TOKENS names.

    The token is kept nowhere. SCOPE is read (look), submit (also hand in, cancel) or admin (also delete).
    """
    try:
        token, line = new_token(name, Scope(scope))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    say(f"token: {token}")
    say(f"line:  {line}")
