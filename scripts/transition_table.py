"""What every trigger does in every state, as tables of markdown."""

from collections.abc import Iterable, Sequence

from statemachine import Row, State, Trigger


def transition_table(table: Sequence[Row]) -> str:
    """State by trigger, then the slots of each row."""
    states = dict.fromkeys(state for row in table for state in (row.source, row.dest))
    triggers = dict.fromkeys(row.trigger for row in table)
    pairs = _markdown(
        ["state", *(f"`{trigger}`" for trigger in triggers)],
        ([f"`{state}`", *(_cell(table, state, trigger) for trigger in triggers)] for state in states),
    )
    slots = _markdown(
        ["trigger", "from", "to", "before: may raise, then nothing has moved", "after: must not raise"],
        ([f"`{r.trigger}`", f"`{r.source}`", _dest(r), _before(r), ", ".join(r.after)] for r in table),
    )
    return f"{pairs}\nA pair without a destination is refused and changes nothing.\n\n{slots}"


def _cell(table: Sequence[Row], state: State, trigger: Trigger) -> str:
    return "<br>".join(_dest(row) for row in table if (row.source, row.trigger) == (state, trigger)) or "—"


def _dest(row: Row) -> str:
    return f"`{row.dest}`" if row.guard is None else f"`{row.dest}` if `{row.guard}`"


def _before(row: Row) -> str:
    first, *rest = row.before
    return ", ".join([f"{first} ({row.work})", *rest])


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
