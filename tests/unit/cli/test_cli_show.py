"""The commands `show`, `list` and `logs`, on services in memory."""

import json
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from orchestrator.cli import show
from orchestrator.cli.render import card, console, memory
from orchestrator.cli.show import last_lines
from orchestrator.client import Client
from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.outcome.series import Series
from orchestrator.task.values import Metrics, SeriesObject, Usage
from orchestrator.testing.programs import Program
from tests.support.tars import out
from tests.support.tasks import finished
from tests.unit.cli.command_line import CommandLine
from tests.unit.cli.test_cli_width import Screen

LOUD = Program(stdout=b"out\n", stderr=b"err\n", exit_code=3)


@pytest.fixture
def call(tmp_path: Path) -> CommandLine:
    """A command line with one finished task, ``mine``."""
    call = CommandLine(tmp_path, {("loud", "[red]\x1b[31m"): LOUD})
    call("run", "--id", "mine", "busybox", "loud", "[red]\x1b[31m")
    return call


def test_show_tells_what_became_of_a_task_and_why(call: CommandLine) -> None:
    """Status, cause, where the log is, history: what one asks first."""
    shown = call("show", "mine").stdout
    for words in (
        "failed",
        "exit",
        "the program exited with status 3",
        "busybox",
        "ran for",
        "4 B in task-logs/mine/1/stdout",
    ):
        assert words in shown
    histories = [line.split()[-2:] for line in shown.splitlines() if line[:1].isdigit()]
    assert histories[1:] == [["start", "running"], ["wait", "collecting"], ["collect", "uploading"], ["upload", "failed"]]


def test_use_of_the_machine_is_shown_in_units_for_people() -> None:
    """At most and on average."""
    metrics = Metrics(Usage(100.0, 75.0), Usage(3 << 20, 2 << 20), samples=2, duration_s=1.5)
    task = evolve(finished(), metrics=metrics)
    shown = StringIO()
    console(shown).print(card(task))
    for words in ("1.50 s, 2 samples", "100 % at most, 75 % on average", "3 MiB at most, 2 MiB on average"):
        assert words in shown.getvalue()


def test_what_was_counted_is_shown_beside_the_samples() -> None:
    """Also of a program that was too short for any sample."""
    metrics = Metrics(None, None, 0, 0.2, cpu_time_s=0.15, throttled_s=0.5, memory_peak_bytes=21 << 20, pids_peak=3)
    task = evolve(finished(), metrics=metrics)
    shown = StringIO()
    console(shown).print(card(task))
    for words in ("0.15 s, held up for 0.50 s", "21 MiB, 3 processes and threads"):
        assert words in shown.getvalue()
    assert memory(task) == "21 MiB"


def test_nothing_in_a_task_can_speak_to_the_terminal(call: CommandLine) -> None:
    """Neither markup nor escape sequences in what its owner wrote are obeyed."""
    for command in (("show", "mine"), ("list",)):
        shown = call(*command).stdout
        assert "[red]" in shown
        assert "\x1b" not in shown


def test_show_prints_the_document_as_json(call: CommandLine) -> None:
    """The same as `run --json` printed."""
    assert json.loads(call("show", "--json", "mine").stdout)["exit_code"] == 3


def test_list_has_a_line_for_each_task_newest_first(call: CommandLine) -> None:
    """Whole lines for grep, however long."""
    call("run", "--id", "longer-" + "x" * 100, "busybox", "true")
    header, *rows = call("list").stdout.splitlines()
    assert header.startswith("ID ")
    assert [row.split()[:2] for row in rows] == [["longer-" + "x" * 100, "succeeded"], ["mine", "failed"]]


def test_an_id_that_is_no_string_is_listed(call: CommandLine) -> None:
    """As it looks in Python, so that its owner sees what was inserted."""
    for task_id in (5, {"a": 1}):
        call.world.services.store.insert({"_id": task_id, "status": "queued"})
    rows = call("list").stdout.splitlines()[1:]
    assert [row.startswith(start) for row, start in zip(rows, ("mine ", "{'a': 1} ", "5 "), strict=True)] == [True] * 3


def test_list_can_be_narrowed(call: CommandLine) -> None:
    """By status and by number."""
    call("run", "--id", "other", "busybox", "true")
    assert [task["_id"] for task in json.loads(call("list", "--json", "--status", "failed").stdout)] == ["mine"]
    assert [task["_id"] for task in json.loads(call("list", "--json", "--limit", "1").stdout)] == ["other"]
    assert json.loads(call("list", "--json", "--status", "queued").stdout) == []


@pytest.mark.parametrize(
    ("flags", "stdout", "stderr"),
    [
        ((), b"out\n", b"err\n"),
        (("--stdout",), b"out\n", b""),
        (("--stderr",), b"", b"err\n"),
        (("--stdout", "--stderr"), b"out\n", b"err\n"),
    ],
)
def test_logs_prints_both_streams_or_the_one_asked_for(
    call: CommandLine, flags: tuple[str, ...], stdout: bytes, stderr: bytes
) -> None:
    """Each on the stream of its name."""
    result = call("logs", *flags, "mine")
    assert (result.exit_code, result.stdout_bytes, result.stderr_bytes) == (0, stdout, stderr)


@pytest.mark.parametrize("command", ["show", "logs"])
def test_an_unknown_task_is_a_sentence(call: CommandLine, command: str) -> None:
    """And the exit code 1."""
    result = call(command, "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: there is no task 'nobody'\n")


def test_logs_of_a_task_that_has_not_ended_are_not_there_yet(tmp_path: Path) -> None:
    """They are stored at its end, which is said; one that ended without them is another thing."""
    call = CommandLine(tmp_path, worker=False)
    call("submit", "--id", "mine", "busybox")
    told = call("logs", "mine")
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr == "task mine is queued: follow its output with `orchestrator logs -f mine`\n"
    call("cancel", "mine")
    assert call("logs", "mine").stderr == "Error: task 'mine' has no stored log\n"


def test_logs_of_an_earlier_attempt_are_printed_while_the_next_one_runs(call: CommandLine) -> None:
    """They are all that is stored."""
    call.settle()
    ended, store = dict(call.world.services.store.find("mine") or {}), call.world.services.store
    past = {name: ended[name] for name in ("started_at", "exit_code", "cause", "message", "logs", "metrics")}
    document = {
        **ended,
        "_id": "again",
        "status": "running",
        "attempt": 2,
        "logs": None,
        "attempts": [{**past, "attempt": 1, "ended_at": ended["finished_at"]}],
    }
    rows = [("start", "queued", "running"), ("retry", "running", "queued"), ("start", "queued", "running")]
    document["history"] = [
        {**ended["history"][0], "seq": seq, "trigger": trigger, "source": source, "status": status}
        for seq, (trigger, source, status) in enumerate(rows, 1)
    ]
    store.insert(document | {"seq": 3, "published": 3})
    told = call("logs", "again")
    assert (
        "task again is running: follow its output with `orchestrator logs -f again`; this is the output of attempt 1\n"
        in told.stderr
    )
    assert told.exit_code == 1  # the log that this forged document names is that of another task


def test_times_are_of_this_host_or_utc(call: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a table with their offset; JSON is UTC either way, and so is a time to search by where that is asked for."""
    monkeypatch.setenv("TZ", "XXX-05:30")
    time.tzset()
    try:
        shown = [line for line in call("show", "mine").stdout.splitlines() if line.startswith("0 ")]
        assert "+05:30" in shown[0]
        shown = [line for line in call("show", "mine", "--utc").stdout.splitlines() if line.startswith("0 ")]
        assert "+00:00" in shown[0]
        assert call("show", "mine", "--json").stdout == call("show", "mine", "--json", "--utc").stdout
        ago = (datetime.now(UTC) - timedelta(minutes=1)).replace(tzinfo=None).isoformat()
        assert call("list", "-o", "id", "--since", ago, "--utc").stdout == "mine\n"
        ahead = (datetime.now(UTC) + timedelta(hours=1)).replace(tzinfo=None).isoformat()
        assert call("list", "-o", "id", "--since", ahead, "--utc").stdout == ""
        assert call("list", "-o", "id", "--since", ahead).stdout == "mine\n"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def several(tmp_path: Path) -> CommandLine:
    """A command line with three tasks that ended in different ways."""
    call = CommandLine(tmp_path, {("loud",): LOUD, ("quiet",): Program()})
    call("run", "--id", "red", "--label", "team=red", "busybox", "loud")
    call("run", "--id", "blue", "--label", "team=blue", "--label", "a.b=1", "busybox", "quiet")
    call("run", "--id", "plain", "other:1", "quiet")
    call.settle()
    return call


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((), ["plain", "blue", "red"]),
        (("--label", "team=red"), ["red"]),
        (("--label", "team=blue", "--label", "a.b=1"), ["blue"]),
        (("--label", "team=blue", "--status", "failed"), []),
        (("--cause", "exit"), ["red"]),
        (("--image", "other:1"), ["plain"]),
        (("--since", "1h"), ["plain", "blue", "red"]),
        (("--since", "0s"), []),
        (("--since", "2030-01-31T12:00+01:00"), []),
        (("--after", "plain"), ["blue", "red"]),
        (("--after", "plain", "--limit", "1"), ["blue"]),
    ],
)
def test_a_list_can_be_of_some_tasks(several: CommandLine, arguments: tuple[str, ...], ids: list[str]) -> None:
    """What is given has to be so of each, and a page goes on behind the last one."""
    assert several("list", "-o", "id", *arguments).stdout.split() == ids


def test_a_list_has_the_form_that_is_asked_for(several: CommandLine) -> None:
    """A table, an array, a document on each line, or ids."""
    whole = json.loads(several("list", "--json").stdout)
    assert json.loads(several("list", "-o", "json").stdout) == whole
    assert [json.loads(line) for line in several("list", "-o", "jsonl").stdout.splitlines()] == whole
    assert several("list").stdout.split()[:2] == ["ID", "STATUS"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "yesterday"), "'yesterday' is neither an age such as 2h or 1d nor a time such as"),
        (("--since", "999999d"), "neither an age"),
        (("--cause", "bad luck"), "is not one of"),
        (("--after", "nobody"), "there is no task 'nobody'"),
    ],
)
def test_what_a_list_cannot_be_of_is_refused_in_a_sentence(
    several: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    """It names what was given and what is allowed."""
    told = several("list", *arguments)
    assert told.exit_code == (1 if "nobody" in arguments else 2)
    assert words in " ".join(told.stderr.split())


ONE, OTHER = "3f2a0000000000000000000000000001", "3f2a0000000000000000000000000002"


@pytest.fixture
def two(tmp_path: Path) -> CommandLine:
    """A command line with two ended tasks whose ids begin alike, one of which left a file, and ``3f2b``."""
    call = CommandLine(tmp_path, {("loud",): evolve(LOUD, out=out(a=b"one\n"))})
    call("run", "--id", ONE, "--artifact", ".", "busybox", "loud")
    call("run", "--id", OTHER, "busybox", "loud")
    call("run", "--id", "3f2b", "busybox", "loud")
    call.settle()
    return call


@pytest.mark.parametrize(
    "command", [("show",), ("logs",), ("artifacts",), ("cancel",), ("list", "--after")], ids=lambda command: command[0]
)
def test_an_id_may_be_cut_as_long_as_it_is_one(two: CommandLine, command: tuple[str, ...]) -> None:
    """Of 4 characters or more; one that begins others, too, means itself, and of several all are named."""
    whole = two(*command, ONE)
    assert whole.exit_code == 0
    assert two(*command, ONE[:-1]).exit_code == 2
    told = two(*command, "3f2a")
    assert told.exit_code == 2
    assert told.stderr == f"Error: several ids begin with '3f2a': {ONE}, {OTHER}; give more of it\n"
    assert two(*command, "3f2").exit_code == 1
    two.world.services.store.insert({"_id": f"{OTHER}b", "status": "queued"})
    assert two(*command, OTHER).exit_code == 0
    assert two(*command, f"{OTHER}b").exit_code == 0 or command == ("logs",)


def test_the_beginning_of_one_id_is_that_task(two: CommandLine) -> None:
    """As if all of it were given."""
    two("submit", "--id", "abcdef", "busybox", "loud")
    assert two("show", "abcd", "--json").stdout == two("show", "abcdef", "--json").stdout
    assert two("artifacts", "abcd").exit_code == two("list", "--after", "abcd").exit_code == 0
    assert two("show", "abce").stderr == "Error: there is no task 'abce'\n"
    assert "abcdef " in two("cancel", "abcd").stdout


def test_not_all_of_many_ids_are_named(two: CommandLine) -> None:
    """A sentence stays one."""
    for number in range(10):
        two.world.services.store.insert({"_id": f"many{number}", "status": "queued"})
    assert "many0, many1, many2, many3, many4 and others; give" in two("show", "many").stderr


@pytest.mark.parametrize(("number", "expected"), [(0, b""), (1, b"end"), (2, b"two\nend"), (9, b"one\ntwo\nend")])
def test_the_last_lines_alone(tmp_path: Path, number: int, expected: bytes) -> None:
    """Of what is stored, in whatever pieces it comes."""
    call = CommandLine(tmp_path, {("speak",): Program(stdout=b"one\ntwo\nend")})
    call("run", "--id", "mine", "busybox", "speak")
    assert call("logs", "--tail", str(number), "mine").stdout_bytes == expected
    for size in (1, 3, 100):
        text = b"one\ntwo\nend"
        assert b"".join(last_lines((text[at : at + size] for at in range(0, len(text), size)), number)) == expected


def test_the_last_lines_of_a_long_line_are_found_in_one_pass() -> None:
    """No chunk is put behind all that came before it, which took seconds for some ten MiB; for no lines nothing is read."""

    class Counted(bytes):
        copied = 0

        def __radd__(self, before: bytes) -> "Counted":
            Counted.copied += len(before)
            return Counted(b"".join([before, self]))

    chunks = [Counted(b"x" * 100) for _ in range(100)]
    assert b"".join(last_lines([b"one\ntw", *chunks, b"o\n", b"end"], 2)) == b"tw" + b"x" * 10_000 + b"o\nend"
    assert Counted.copied == 0
    unread = iter(chunks)
    assert (list(last_lines(unread, 0)), len(list(unread))) == ([], len(chunks))


def test_logs_follow_a_task_to_its_end(tmp_path: Path) -> None:
    """From an offset on, of one stream, also when it has ended; --tail has no meaning there."""
    call = CommandLine(tmp_path, {("speak",): Program(stdout=b"0123456789", stderr=b"abc")})
    call("run", "--id", "mine", "busybox", "speak")
    told = call("logs", "-f", "mine")
    assert (told.exit_code, told.stdout_bytes, told.stderr_bytes) == (0, b"0123456789", b"abc")
    assert call("logs", "--follow", "--stdout", "--since-offset", "7", "mine").stdout_bytes == b"789"
    assert call("logs", "--since-offset", "99", "mine").stdout_bytes == b""
    assert "--tail cannot be given beside --follow" in call("logs", "-f", "--tail", "1", "mine").stderr


def test_use_over_time_is_drawn_where_it_is_known() -> None:
    """A line of blocks for CPU and one for memory, with the span and the most."""
    points = (0.1, 0.0, 1 << 20), (1.0, 50.0, None), (2.0, 100.0, 2 << 20)
    series = Series(1, 1.0, ("t", "cpu_percent", "memory_bytes"), points)
    shown = StringIO()
    console(shown).print(card(finished(), series=series))
    assert "▁▅█ from 0.1 s to 2.0 s, up to 100 %" in shown.getvalue()
    assert "▅▁█ from 0.1 s to 2.0 s, up to 2 MiB" in shown.getvalue()
    bare = StringIO()
    console(bare).print(card(finished()))
    assert "over time" not in bare.getvalue()


@pytest.mark.parametrize(("columns", "drawn"), [(99, False), (100, True)])
def test_use_over_time_is_drawn_on_a_wide_terminal_only(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch, columns: int, *, drawn: bool
) -> None:
    """Elsewhere object storage is not even asked; when it is away, the rest is shown."""
    asked = []

    def series(_: Client, task_id: str) -> None:
        asked.append(task_id)
        raise InfrastructureError(STORAGE, "away")

    metrics = Metrics(None, None, 0, 1.0, series=SeriesObject("mine/1/series-0.json", 1, "0", 2))
    monkeypatch.setattr(Client, "series", series)
    monkeypatch.setattr(show, "sys", SimpleNamespace(stdout=Screen()))
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(Client, "get", lambda *_: evolve(finished(), id="mine", metrics=metrics))
    told = call("show", "mine")
    assert asked == (["mine"] if drawn else [])
    assert ("cannot be read" in told.stderr) is drawn
    assert "ran for" in show.sys.stdout.getvalue()
