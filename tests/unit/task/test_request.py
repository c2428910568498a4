"""A request is read whole or refused whole, with one sentence for each field that is wrong."""

import pytest
from attrs import asdict, evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InvalidTask
from orchestrator.task.limits import Limits
from orchestrator.task.request import Request, Rules, parse_request
from tests.support import junk

MIB = 1 << 20
RULES = Rules(
    defaults=Limits(cpus=0.5, memory=64 * MIB, pids=10, timeout=5.0, output=1000, tmp=8 * MIB, cpu_time=4.0),
    ceilings=Limits(cpus=2.0, memory=128 * MIB, pids=100, timeout=60.0, output=10 * MIB, tmp=16 * MIB, cpu_time=60.0),
    files_max=100,
)
FULL = {
    "image": "busybox:1",
    "command": ["cat", "/task/in"],
    "env": {"A": "1"},
    "stdin": {"base64": "eQ=="},
    "working_dir": "/srv",
    "user": "1000:1000",
    "network": False,
    "files": {"in": "é"},
    "limits": {"cpus": 1, "memory": "65m", "pids": 5, "timeout": "30s", "output": 0, "tmp": "4k", "cpu_time": "1m"},
    "retries": 2,
    "labels": {"team": "a"},
    "keep": "90d",
}


def problems(document: dict[str, object], rules: Rules = RULES, task_id: str = "t1") -> tuple[str, ...]:
    """What is said about a document; nothing when it is accepted."""
    try:
        parse_request(task_id, document, rules)
    except InvalidTask as invalid:
        return invalid.problems
    return ()


def test_full_request_is_read() -> None:
    """Every field, in the form that the worker uses."""
    assert parse_request("t1", FULL, RULES) == Request(
        image="busybox:1",
        command=("cat", "/task/in"),
        env={"A": "1"},
        stdin=b"y",
        working_dir="/srv",
        user="1000:1000",
        network=False,
        files={"in": "é".encode()},
        limits=Limits(cpus=1.0, memory=65 * MIB, pids=5, timeout=30.0, output=0, tmp=4096, cpu_time=60.0),
        retries=2,
        labels={"team": "a"},
        keep=90 * 86400.0,
    )


def test_smallest_request_gets_the_defaults() -> None:
    """Only the image is asked for; limits left out are the rules' own."""
    assert parse_request("t1", {"image": "a"}, RULES) == Request(image="a", limits=RULES.defaults)
    given = parse_request("t1", {"image": "a", "limits": {"pids": 7}}, RULES)
    assert given.limits == evolve(RULES.defaults, pids=7)


def test_null_counts_as_left_out() -> None:
    """In the document and in its limits, because many languages write all fields."""
    empty = dict.fromkeys(junk.NAMES) | {"image": "a"}
    assert parse_request("t1", empty, RULES) == Request(image="a", limits=RULES.defaults)
    assert parse_request("t1", {"image": "a", "limits": dict.fromkeys(junk.LIMITS)}, RULES).limits == RULES.defaults


def test_every_bad_field_is_named_at_once() -> None:
    """Wrong forms, values beyond what is granted, unknown fields and a bad id, each with its path, in one go."""
    document = {
        "command": [],
        "env": {"A": 1},
        "stdin": 5,
        "working_dir": "srv",
        "user": "0",
        "network": True,
        "files": {"a": "x" * 200},
        "limits": {"cpus": 3, "memory": "1g", "pids": 0, "timeout": "1h", "output": True, "tmp": "1", "swap": 0},
        "retries": 11,
        "labels": [],
        "priority": 1,
    }
    assert sorted(problems(document, task_id="no/slash")) == sorted(
        [
            "_id: 'no/slash' is not an id of 1 to 128 letters, digits, '_', '.' and '-' that begins with a letter or digit",
            "image: is missing",
            "command: [] is not a list of one or more strings, or one string for sh -c",
            "env: the value of 'A' is not a string without NUL",
            "stdin: the int given is not text, or {base64: …}",
            "working_dir: 'srv' is not an absolute path",
            "user: '0' is root, which is not allowed here",
            "network: true is not allowed here; only false is",
            "files: 200 B in all is above the ceiling of 100 B",
            "limits.cpus: 3 is above the ceiling of 2",
            "limits.memory: 1 GiB is above the ceiling of 128 MiB",
            "limits.pids: 0 is not a whole number of 1 or more",
            "limits.timeout: 3600 is above the ceiling of 60",
            "limits.output: True is not a size of 0 bytes or more, such as 134217728 or '128m'",
            "limits.tmp: '1' is not a size of 4096 bytes or more, such as 134217728 or '128m'",
            "limits: has unknown fields 'swap'; allowed are cpus, memory, pids, timeout, output, tmp, cpu_time, artifacts, shm",
            "retries: 11 is above the ceiling of 10",
            "labels: [] is not a map of strings to strings",
            f"task: has unknown fields 'priority'; allowed are {', '.join(junk.NAMES)}",
        ]
    )


def test_what_a_program_is_started_with_is_bounded_together() -> None:
    """At the bound it is accepted; beyond, the larger of the two is named. The pointers count, as they do for Linux."""
    most, each = 1920 << 10, 100 << 10
    env = {f"{number:02}": "x" * (each - 12) for number in range(10)}
    command = ["x" * (each - 9)] * 9
    fits = {"image": "a", "env": env, "command": [*command, "x" * (most - 19 * each - 9)]}
    assert problems(fits) == ()
    assert problems({**fits, "command": [*fits["command"], ""]}) == (
        f"env: {most + 9} bytes of command and env together is above the ceiling of {most}",
    )
    assert problems({"image": "a", "command": [""] * 300_000})[0].startswith("command: 2700000 bytes of command and env")


@pytest.mark.parametrize("limits", [5, "x", [], True, ["cpus"]])
def test_limits_that_are_no_map_are_named(limits: object) -> None:
    """Whatever else they are."""
    assert problems({"image": "a", "limits": limits}) == ("limits: is not a map",)


@pytest.mark.parametrize("user", ["0", "00", "0:0", "1000:0", "0:1000", "0000000000:1"])
def test_root_is_refused_unless_allowed(user: str) -> None:
    """As user or as group, however it is written."""
    assert problems({"image": "a", "user": user}) == (f"user: {user!r} is root, which is not allowed here",)
    assert problems({"image": "a", "user": user}, evolve(RULES, root_allowed=True)) == ()


def test_network_is_granted_where_allowed() -> None:
    """Both the task and the rules have to say so."""
    assert parse_request("t1", {"image": "a", "network": True}, evolve(RULES, network_allowed=True)).network


@pytest.mark.parametrize("name", junk.LIMITS)
def test_limit_at_its_ceiling_is_granted(name: str) -> None:
    """And what is above it is not."""
    most = asdict(RULES.ceilings)[name]
    assert problems({"image": "a", "limits": {name: most}}) == ()
    assert len(problems({"image": "a", "limits": {name: most + 1}})) == 1


def test_many_unknown_fields_make_a_short_message() -> None:
    """A document of any size ends in a message that can be stored."""
    (problem,) = problems({"image": "a", **{f"field{number:06}" + "x" * 1000: 1 for number in range(10_000)}})
    assert "and 9990 more" in problem
    assert len(problem) < 2000


@given(junk.documents, st.one_of(junk.text, junk.near))
def test_any_document_is_read_or_refused_in_short_sentences(document: dict[str, object], task_id: str) -> None:
    """Nothing but InvalidTask comes out, and each problem begins with the path of a field."""
    for problem in problems(document, task_id=task_id):
        path = problem.partition(": ")[0]
        assert path in {"task", "_id", *junk.NAMES, *(f"limits.{name}" for name in junk.LIMITS)}
        assert len(problem.encode()) < 2000


@given(junk.plausible)
def test_accepted_request_keeps_the_rules(document: dict[str, object]) -> None:
    """Whatever got through is within what the rules grant."""
    try:
        request = parse_request("t1", document, RULES)
    except InvalidTask:
        return
    assert all(value <= getattr(RULES.ceilings, name) for name, value in asdict(request.limits).items())
    assert not request.network
    assert 0 not in map(int, (request.user or "1").split(":"))
    assert sum(map(len, request.files.values())) <= RULES.files_max
