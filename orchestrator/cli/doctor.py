"""The `doctor` command."""

from collections.abc import Iterator
from functools import partial

import click
from attrs import asdict

from orchestrator import wiring as connect
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import printable, say, say_json
from orchestrator.cli.variables_here import located, variables
from orchestrator.doctor import engine, host, mongo, redis, storage
from orchestrator.doctor.finding import Finding
from orchestrator.errors import SettingsError
from orchestrator.settings.settings import Settings
from orchestrator.task.plain import as_json


@click.command(
    "doctor",
    epilog=examples(
        "orchestrator doctor",
        "orchestrator doctor --image busybox --json | jq '.checks[] | select(.ok | not)'",
    ),
)
@click.option(
    "--image",
    metavar="IMAGE",
    help=f"Run a container of this image as a probe. Default: {engine.IMAGE}, where the engine has it.",
)
@click.option("--json", is_flag=True, help="Print the findings as one JSON object.")
def doctor_command(image: str | None, *, json: bool) -> None:
    """Check each setting, server and limit; say what was found and what to do about what is wrong.

    What is well is shown as it is found, then what is wrong, and at the end how many of each. The exit code is 0 when all is
    well and 1 otherwise. What it writes to try things out, it removes again.
    """
    found = []
    for finding in examine(image):
        found.append(finding)
        if finding.ok and not json:
            _print(finding)
    wrong = [finding for finding in found if not finding.ok]
    ok = not wrong
    if json:
        say_json(as_json({"ok": ok, "checks": [asdict(finding) for finding in found]}))
    else:
        for finding in wrong:
            _print(finding)
        say(f"{len(found)} checks: {len(found) - len(wrong)} ok, {len(wrong)} to do")
    click.get_current_context().exit(0 if ok else 1)


def examine(image: str | None) -> Iterator[Finding]:
    """All findings, each as soon as it is there."""
    try:
        settings = Settings.load(variables())
        connect.check(settings)
    except SettingsError as error:
        yield from _complaints(error)
        return
    yield Finding("settings", True, "all are well-formed")
    for check in (host.check, mongo.check, redis.check, storage.check, partial(engine.check, image=image)):
        try:
            yield from check(settings)
        except SettingsError as error:
            yield from _complaints(error)


def _complaints(error: SettingsError) -> Iterator[Finding]:
    return (
        Finding("settings", False, located(line), "set it to another value, or unset it") for line in str(error).splitlines()
    )


def _print(finding: Finding) -> None:
    word = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red", bold=True)
    click.echo(f"{word}  {finding.check:<14} {printable(finding.found)}")
    if not finding.ok:
        click.echo(f"{'':<20} {click.style('to do:', bold=True)} {printable(finding.advice)}")
