"""The generated pages that are plain tables: settings, causes, transitions, and the index of the diagrams."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import Factory

from orchestrator import urls as setting_urls
from orchestrator.adapters.docker.client import OLDEST_API
from orchestrator.adapters.docker.engine_faults import FAULTS
from orchestrator.cause import Cause
from orchestrator.settings.settings import IN_FILE, options, variable
from orchestrator.settings.settings import Option as Setting
from orchestrator.task.limits import about_limits
from orchestrator.task.schema import task_schema
from orchestrator.urls import Option
from scripts.transition_table import transition_table
from statemachine import TABLE

NOTICE = "<!-- Made by `make diagrams` from the code; edits here are lost. -->\n\n"


def settings_page() -> str:
    """Every environment variable, its default and what it means."""
    rows = ((f"`{variable(option)}`", _code(_default(option)), _help(option)) for option in options())
    return f"{NOTICE}{_SETTINGS}\n{table('variable', 'default', 'meaning', rows=rows)}{_OPTIONS}{_url_options()}"


def _url_options() -> str:
    tables = {"MONGO_URI": setting_urls.MONGO_OPTIONS, "REDIS_URL": setting_urls.REDIS_OPTIONS}
    rows = (
        (name, f"`{option}`", may.phrase if isinstance(may, Option) else f"`{may.value}` alone: otherwise {may.why}")
        for name, table in tables.items()
        for option, may in sorted(table.items())
    )
    return table("variable", "option", "may be", rows=rows)


def environment_example() -> str:
    """All variables, commented out, with their defaults."""
    lines = [f"# {_help(option)}\n#{variable(option)}={_default(option)}\n" for option in options()]
    return f"{_EXAMPLE}{chr(10).join(lines)}{_COMPOSE}"


def causes_page() -> str:
    """The closed set of causes."""
    rows = (
        (f"`{cause}`", cause.rule.meaning, _yes(flag=cause.rule.is_retried), _yes(flag=cause.rule.keeps_exit_code))
        for cause in Cause
    )
    return f"{NOTICE}{_CAUSES}\n{table('cause', 'meaning', '`retries` apply', 'exit code of `run`', rows=rows)}"


def _yes(*, flag: bool) -> str:
    return "yes" if flag else "-"


def engine_faults_page() -> str:
    """The faults of an engine that end a task at its first attempt."""
    rows = ((each.fault, f"`{each.example}`", each.remedy) for each in FAULTS)
    head = ("fault", "for example, the engine says", "remedy")
    return f"{NOTICE}{_ENGINE_FAULTS}\n{table(*head, rows=rows)}{_OTHER_FAULTS}"


def limits_page() -> str:
    """What a task may use."""
    settings = {option.name: option for option in options()}
    rows = (
        (f"`{name}`", about.unit, about.beyond, *_settings_of(name, settings), f"`{about.flags[0]}`")
        for name, about in about_limits().items()
    )
    head = ("limit", "unit", "what happens", "default", "ceiling", "flag")
    return f"{NOTICE}{_LIMITS}\n{table(*head, rows=rows)}"


def _settings_of(limit: str, settings: Mapping[str, Setting]) -> Iterator[str]:
    for prefix in ("default", "max"):
        option = settings.get(f"{prefix}_{limit}")
        yield f"{variable(option)}, {_code(_default(option))}" if option else "none"


def schema_file() -> str:
    """The JSON Schema of the task document."""
    return json.dumps(task_schema(), indent=2, ensure_ascii=False) + "\n"


def transitions_page() -> str:
    """What each trigger does in each state."""
    return f"{NOTICE}# Transitions\n\n{transition_table(TABLE)}"


def index_page() -> str:
    """What the other files here are."""
    return f"{NOTICE}{_INDEX}"


def table(*head: str, rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def _help(option: Setting) -> str:
    secret = f" (secret; or {variable(option)}{IN_FILE} names a file with it)" if option.secret else ""
    return f"{option.help}{secret}"


def _default(option: Setting) -> str:
    """The default as people write it: the shortest text that is read as the same value."""
    value = option.default
    if isinstance(value, Factory):  # type: ignore[arg-type]
        return ""  # the help says what it depends on
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        texts = [
            f"{value >> shift}{unit}"
            for unit, shift in (("g", 30), ("m", 20), ("k", 10))
            if value and value % (1 << shift) == 0
        ]
        return next((text for text in texts if _reads_as(option, text)), str(value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _reads_as(option: Setting, text: str) -> bool:
    try:
        return bool(option.parse(text) == option.default)
    except ValueError:
        return False


_EXAMPLE = """\
# Every setting with its default. Copy this file to .env and take the # from what you change. `orchestrator` reads .env in the
# current folder, compose beside compose.yaml. A value is what follows the =, quotes too. Environment variables win.

"""
_COMPOSE = """
# Passwords of the servers in compose.yaml, which wants these and MINIO_SECRET_KEY: letters and digits
# REDIS_PASSWORD=
# MONGO_PASSWORD=
"""
_SETTINGS = """\
# Settings

Read from the environment; a variable that is empty counts as unset. For what is not set there, the command line reads lines
`NAME=value` from the file `.env` in the current folder, then what an `orchestrator up` has written. `.env` is read as Docker
reads a file of variables: a line that begins with # is a comment, and quotes are part of a value. It must not be writable for
other users. `orchestrator --no-env-file COMMAND` leaves it out; `Client.from_env()` does not read it.

Bad values are all named at once, and the values of secrets
are in no message. Sizes are bytes or text such as `128m`. Times are seconds or text such as `500ms`, `1m30s` or `1.5h`; the
units are d, h, m, s and ms. Flags are `true` or `false`. `orchestrator exec -- PROGRAM` runs a program with the settings of an
`orchestrator up`.

At start each library reads the settings that it will use, without a connection. What it refuses is named; the exit code is 2.
This is so for the configuration of Docker, too: `config.json` in DOCKER_CONFIG or `~/.docker`. Commands that use no
engine, such as `list`, do not read it.
"""
_OPTIONS = """
## Options of the URLs

A URL may have these options and no others. In a user name or password, write @ as `%40`, : as `%3A`, / as `%2F`, ? as `%3F`, #
as `%23` and % as `%25`.

"""
_CAUSES = """\
# Causes

The field `cause` of a task is null unless the task ended failed or timed_out; then it is one of these. Where `retries` apply,
the program failed by itself, and the task's own `retries` start it again. Where it says so, `orchestrator run` ends with the
program's own exit code; otherwise it ends with 124 for timed_out and 125 for all else.
"""
_ENGINE_FAULTS = """\
# Faults of the engine

Most errors of an engine pass, so the worker makes a call again for RETRY_BUDGET, and a new attempt after that. No new try helps
against the faults below. A task that meets one fails at once, with the cause `infrastructure`; its message names the fault, the
remedy, and the engine's own words. No further attempt is made, on this worker or another.

`orchestrator doctor` finds most of them before any task does. Run it when you have set up an engine, and before you start a
worker: a worker whose engine has such a fault fails each task that it takes.
"""
_OTHER_FAULTS = f"""
Two more end at once, in other ways:

- An engine may make a container without the limit of memory or of processes that its host cannot keep, and only warn. The
  worker removes the container, and the task fails as for control groups.
- A worker does not start if the API of the engine at DOCKER_HOST is older than {OLDEST_API}, that of Docker 20.10. If it meets
  such an engine later, it leaves tasks to other workers and asks again.
"""
_LIMITS = """\
# Limits

The field `limits` of a task is a map of these. One that is left out has its default, and none may be above its ceiling; both
are [settings](settings.md). The flags are those of `run` and `submit`.
"""
_INDEX = """\
# Diagrams

All of these are made from what runs, by `make diagrams`; `make check` fails when one is stale.

![States of a task](states.svg)

Dashed lines are failures, which are possible in every state before the end.

| file | shows | made from |
| --- | --- | --- |
| [states.svg](states.svg), [states.dot](states.dot), [states.mmd](states.mmd) | the states and their moves | the table |
| [transitions.md](transitions.md) | what every trigger does in every state, and the slots of each row | the table |
| [sequence.md](sequence.md) | who calls whom while a task succeeds | a run on the adapters in memory |
| [layers.md](layers.md) | which component may import which, and what each uses | the imports and their contract |
"""
