"""A list on narrow screens: what tells tasks apart is whole, and columns that have no room are left out."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.cli.render import print_table
from orchestrator.task.document import Task
from statemachine import State
from tests.support.tasks import finished

ID = "0123456789abcdef0123456789abcdef"


class Screen(StringIO):
    """A terminal of some columns."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def listed(columns: int, monkeypatch: pytest.MonkeyPatch, *tasks: Task) -> list[str]:
    """The lines of a list."""
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen()
    print_table(tasks or [task()], screen)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in screen.getvalue().splitlines()]


def task(task_id: str = ID, cause: Cause | None = Cause.OUTPUT_LIMIT, **request: object) -> Task:
    """One with wide values."""
    at = datetime.now(UTC) - timedelta(minutes=90)
    asked = {"image": "registry.example/team/with-a-long-name:1.2.3", "command": ["python3", "-c", "x" * 90], **request}
    return evolve(finished(), id=task_id, status=State.FAILED, cause=cause, exit_code=137, created_at=at, request=asked)


@pytest.mark.parametrize(
    ("columns", "head"),
    [
        (120, "ID STATUS CAUSE EXIT AGE IMAGE COMMAND"),
        (80, "ID STATUS CAUSE EXIT AGE IMAGE"),
        (72, "ID STATUS CAUSE EXIT AGE"),
        (60, "ID STATUS EXIT AGE"),
        (46, "ID EXIT AGE"),
        (20, "ID EXIT AGE"),
    ],
)
def test_id_exit_and_age_are_whole_on_every_screen(columns: int, head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """COMMAND goes first, then IMAGE, CAUSE and STATUS; of image and command there are 12 characters or none."""
    first, row = listed(columns, monkeypatch)
    assert first.split() == head.split()
    assert row.startswith(ID)
    assert {"137", "90", "min"} <= {*row.split()}
    assert len(row) <= max(columns, len(f"{ID} 137  90 min"))


def test_short_values_need_no_column_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is what is there, not what could be."""
    head, row = listed(60, monkeypatch, task("short", None, image="busybox", command=["true"]))
    assert head.split() == ["ID", "STATUS", "CAUSE", "EXIT", "AGE", "IMAGE", "COMMAND"]
    assert row.split() == ["short", "failed", "137", "90", "min", "busybox", "true"]


def test_image_and_command_share_the_room_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut with an ellipsis."""
    _, row = listed(110, monkeypatch)
    assert row.count("…") == 2
    assert len(row) <= 110
