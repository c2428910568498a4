"""What help pages have beyond click's: options in groups, and examples."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)
_REST = "Options"


class _Grouped(click.Option):
    """An option of a group."""

    def __init__(self, *args: Any, group: str = _REST, **more: Any) -> None:
        super().__init__(*args, **more)
        self.group = group


def option(group: str, *names: str, **more: Any) -> Callable[[FC], FC]:
    """As ``click.option``, in a group of this name."""
    return click.option(*names, cls=_Grouped, group=group, **more)


def grouped(command: click.Command, context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The flags of a command with their meanings, by group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record:
            groups.setdefault(parameter.group if isinstance(parameter, _Grouped) else _REST, []).append(record)
    rest = groups.pop(_REST, [])
    return {**groups, _REST: rest} if rest else groups


class GroupedCommand(click.Command):
    """A command whose help has its options in groups, in the order in which these begin; those of no group come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Their part of the help page."""
        for name, records in grouped(self, ctx).items():
            with formatter.section(name):
                formatter.write_dl(records)


def examples(*lines: str) -> str:
    """The end of a help page: lines that can be typed, which are not wrapped."""
    return "\n".join(["\b", _EXAMPLES, *(f"  {line}" for line in lines)])


def example_lines(command: click.Command) -> list[str]:
    """Those of a command."""
    return [line.strip() for line in (command.epilog or "").partition(_EXAMPLES)[2].splitlines() if line.strip()]


_EXAMPLES = "Examples:"
