"""What `--version` prints: the version here and, where that is asked for, those of the engine and the servers."""

from orchestrator.cli.terminal import say
from orchestrator.release import version


def print_versions(*, verbose: bool) -> None:
    """A line each. One that is away is told in a sentence; the others are printed all the same. Raises SettingsError."""
    own = version()
    if not verbose:
        say(own)
        return
    say(f"{'orchestrator':<15} {own}")
    from orchestrator.cli.variables_here import variables  # noqa: PLC0415  the version alone needs no settings
    from orchestrator.doctor.versions import versions  # noqa: PLC0415  nor any server
    from orchestrator.settings.settings import Settings  # noqa: PLC0415  the same

    for name, found in versions(Settings.load(variables())):
        say(f"{name:<15} {found}")
