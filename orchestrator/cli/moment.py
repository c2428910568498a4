"""Times as people type them: a moment, by how long ago it was or by its date, and how long something takes."""

from datetime import UTC, datetime, timedelta

import click

from orchestrator.task.units import parse_duration


class Moment(click.ParamType[datetime]):
    """An age such as ``90s``, ``2h`` or ``1d``, or a time in ISO 8601; a time without a zone is local, or UTC with --utc."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time. Says what it may be when it is neither."""
        text = str(value)
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
        except (ValueError, OverflowError):
            pass
        try:
            at = datetime.fromisoformat(text)
            utc = ctx is not None and at.tzinfo is None and ctx.params.get("utc")
            return at.replace(tzinfo=UTC) if utc else at.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither an age such as 2h or 1d nor a time such as 2030-01-31T12:00", param, ctx)


class Duration(click.ParamType[float]):
    """Seconds, or text such as 2d; ``least`` seconds, and ``shorter`` says what is wrong with fewer."""

    name = "time"

    def __init__(self, least: float, shorter: str) -> None:
        self._least = least
        self._shorter = shorter

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds. Says what it may be when it is not, or too short."""
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
        if seconds < self._least:
            self.fail(f"{value!r} is {self._shorter}", param, ctx)
        return seconds
