"""What the page knows of the code: states, transitions, causes and limits, as JSON."""

import json

from orchestrator.cause import Cause
from orchestrator.task.limits import about_limits
from statemachine import INITIAL, TABLE, State


def page_facts() -> str:
    """The file that the page is built with."""
    facts = {
        "initial": INITIAL,
        "states": [{"name": state, "ended": state.policy.is_terminal, "decided": state.policy.is_decided} for state in State],
        "rows": [
            {"trigger": row.trigger, "source": row.source, "dest": row.dest, "guard": row.guard, "work": row.work}
            for row in TABLE
        ],
        "causes": {cause: cause.rule.meaning for cause in Cause},
        "limits": {name: {"flag": about.flags[0], "help": about.help} for name, about in about_limits().items()},
    }
    return f"{json.dumps(facts, indent=2)}\n"
