"""What the flags of `run` and `submit` become."""

import json
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.flags import _FLAGS, Flags, takes_a_task
from orchestrator.errors import InvalidTask
from orchestrator.task.request import Limits, Request, Rules, parse_request


def described(*arguments: str, stdin: bytes = b"") -> tuple[str | None, dict[str, Any]]:
    """The id and request that a command line describes."""
    found = []

    @click.command(context_settings={"allow_interspersed_args": False})
    @takes_a_task
    def command(flags: Flags) -> None:
        found.append(flags.request())

    result = CliRunner().invoke(command, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found[0]


def problems(*arguments: str, stdin: bytes = b"") -> tuple[str, ...]:
    """What is wrong with a command line, as the check of the request and of the flags say it."""
    with pytest.raises(InvalidTask) as refused:
        parse_request("id", described(*arguments, stdin=stdin)[1], Rules())
    return refused.value.problems


def test_the_flag_of_every_field_is_known() -> None:
    """A message about a field names it. What a flag without a value says cannot be wrong."""
    names = {each.name for each in attrs.fields(Request)} - {"limits", "init"}
    assert {*_FLAGS} == names | {"_id"} | {f"limits.{each.name}" for each in attrs.fields(Limits)}


def test_a_bare_image_asks_for_nothing_else() -> None:
    """What is not given is left to the defaults of the settings and of the image."""
    assert described("busybox") == (None, {"image": "busybox"})


def test_options_after_the_image_belong_to_the_command() -> None:
    """As with docker run, also when they look like ours."""
    _, request = described("--cpus", "1", "busybox", "sh", "-c", "exit 3", "--cpus", "9", "--", "-m")
    assert request["command"] == ["sh", "-c", "exit 3", "--cpus", "9", "--", "-m"]
    assert request["limits"] == {"cpus": 1.0}


def test_each_limit_has_the_flag_of_docker_run_where_there_is_one() -> None:
    """Sizes and times stay text: the check of the request reads them."""
    flags = "--cpus=0.5 -m 64m --pids-limit 10 --timeout 5s --output-limit 1k --tmp-size 8m --shm-size 9m --retries 2"
    _, request = described(*flags.split(), "busybox")
    assert request["retries"] == 2
    limits = {"cpus": 0.5, "memory": "64m", "pids": 10, "timeout": "5s", "output": "1k", "tmp": "8m", "shm": "9m"}
    assert request["limits"] == limits
    parse_request("id", request, Rules())


def test_variables_come_from_flags_from_files_and_from_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name alone takes the value here, and is left out where there is none; flags come after files."""
    monkeypatch.setenv("HERE", "of the shell")
    monkeypatch.delenv("NOWHERE", raising=False)
    file = tmp_path / "env"
    file.write_text("# a comment\n\nA=1\n  B=two words # not a comment\nHERE\nNOWHERE\n")
    _, request = described("--env-file", str(file), "-e", "A=3", "-e", "EMPTY=", "-e", "E=a=b", "busybox")
    assert request["env"] == {"A": "3", "B": "two words # not a comment", "HERE": "of the shell", "EMPTY": "", "E": "a=b"}


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ([], {}),
        (["--entrypoint", "sh"], {"entrypoint": "sh"}),
        (["--entrypoint", ""], {"entrypoint": ""}),
        (["--init"], {"init": True}),
        (["--no-init"], {"init": False}),
    ],
)
def test_entrypoint_and_init_are_left_to_the_image_and_the_worker_unless_given(flags: list[str], wanted: object) -> None:
    """An empty entrypoint is one that was given, as for `docker run`."""
    _, request = described(*flags, "busybox", "true")
    assert {name: request[name] for name in ("entrypoint", "init") if name in request} == wanted
    parse_request("id", request, Rules())


@pytest.mark.parametrize("flag", [["--no-init"], ["--entrypoint", ""], ["--shm-size", "1g"]])
def test_a_flag_beside_a_whole_task_is_refused_even_if_it_is_empty(flag: list[str]) -> None:
    """It would be ignored."""
    (problem,) = problems(*flag, "--from", "-")
    assert problem.endswith("cannot be given beside --from, which brings the whole task")


@pytest.mark.parametrize(("network", "wanted"), [("none", False), ("bridge", True), ("host", True)])
def test_any_network_but_none_asks_for_one(network: str, *, wanted: bool) -> None:
    """The task has a flag where docker has names."""
    assert described("--network", network, "busybox")[1]["network"] is wanted


def test_a_mounted_file_keeps_its_name_unless_it_is_given_one(tmp_path: Path) -> None:
    """Text stays text; other bytes are carried as base64."""
    (tmp_path / "data.txt").write_text("grüße")
    (tmp_path / "raw").write_bytes(b"\xff\x00")
    _, request = described(
        "--mount-file", str(tmp_path / "data.txt"), "--mount-file", f"{tmp_path / 'raw'}:in/raw.bin", "busybox"
    )
    assert request["files"] == {"data.txt": "grüße", "in/raw.bin": {"base64": "/wA="}}
    assert parse_request("id", request, Rules()).files == {"data.txt": "grüße".encode(), "in/raw.bin": b"\xff\x00"}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("src={0},dst=in/b:c", "in/b:c"),
        ("source={0},target=x", "x"),
        ("destination=x,src={0}", "x"),
        ("src={0}", "a:b,c=d"),
        ("src={0},dst=", "a:b,c=d"),
    ],
)
def test_a_file_with_a_colon_in_its_name_is_mounted(form: str, name: str, tmp_path: Path) -> None:
    """In the form of docker's --mount: fields of CSV, in quotes where there is a comma."""
    (tmp_path / "a:b,c=d").write_text("content")
    fields = form.split(",")
    quoted = ",".join(f'"{field.format(tmp_path / "a:b,c=d")}"' for field in fields)
    assert described("--mount-file", quoted, "busybox")[1]["files"] == {name: "content"}


@pytest.mark.parametrize("spec", ["src=a,b=c", "dst=x", "src=a,src=b", "src=a,dst", '"src=a', "src=,dst=x", "src=a,ro"])
def test_a_mount_that_cannot_be_understood_is_named(spec: str) -> None:
    """Nothing is guessed."""
    (problem,) = problems("--mount-file", spec, "busybox")
    assert problem.startswith(("--mount-file: ", "files: "))


def test_a_colon_in_a_file_that_is_not_there_brings_the_other_form_to_mind(tmp_path: Path) -> None:
    """For the colon may be the file's own."""
    (problem,) = problems("--mount-file", f"{tmp_path}/a:b", "busybox")
    assert problem.endswith("/a' cannot be read: No such file or directory; if a name has a colon, write src=FILE,dst=NAME")


@pytest.mark.parametrize("data", [b"", b"text\n", bytes(range(256))])
def test_stdin_is_handed_on_byte_for_byte(data: bytes) -> None:
    """Also when there is nothing in it: the program then reads an end, not a closed descriptor."""
    _, request = described("-i", "busybox", stdin=data)
    assert parse_request("id", request, Rules()).stdin == data


def test_the_rest_goes_where_its_name_says() -> None:
    """User, folder, labels, id."""
    task_id, request = described("-u", "1000:1000", "-w", "/work", "-l", "a=b=c", "-l", "bare", "--id", "mine", "busybox")
    assert task_id == "mine"
    assert request == {"image": "busybox", "user": "1000:1000", "working_dir": "/work", "labels": {"a": "b=c", "bare": ""}}


def test_every_bad_value_is_named_at_once() -> None:
    """What a flag cannot read goes to the check of the request, which knows how to say what is allowed."""
    found = problems(
        "--cpus", "many", "-m", "-3m", "--pids-limit", "1.5", "--timeout", "soon", "-u", "root", "-w", "here", "BAD IMAGE"
    )
    fields = {problem.partition(":")[0] for problem in found}
    assert fields == {"limits.cpus", "limits.memory", "limits.pids", "limits.timeout", "user", "working_dir", "image"}
    assert "'many'" in " ".join(found)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "1e18", ""])
def test_no_number_gets_past_the_check_because_of_how_it_is_written(value: str) -> None:
    """Python reads more numbers than a task may have."""
    assert problems("--cpus", value, "busybox")[0].startswith("limits.cpus: ")


@pytest.mark.parametrize("flag", ["--env-file", "--mount-file", "--from"])
def test_a_file_that_is_not_there_is_named_with_its_flag(flag: str, tmp_path: Path) -> None:
    """No traceback for a slip of the pen."""
    image = [] if flag == "--from" else ["busybox"]
    (problem,) = problems(flag, str(tmp_path / "none"), *image)
    assert problem == f"{flag}: '{tmp_path / 'none'}' cannot be read: No such file or directory"


def test_a_whole_task_can_be_given_as_json(tmp_path: Path) -> None:
    """From a file or from stdin; its _id is the id unless --id gives another."""
    task = {"_id": "inside", "image": "busybox", "limits": {"memory": "64m"}}
    file = tmp_path / "task.json"
    file.write_text(json.dumps(task))
    assert described("--from", str(file)) == ("inside", {"image": "busybox", "limits": {"memory": "64m"}})
    assert described("--from", "-", "--id", "mine", stdin=file.read_bytes())[0] == "mine"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "--from: this is not JSON: "),
        (b"\xff\xfe", "--from: this is not JSON: "),
        (b"", "--from: this is not JSON: "),
        (b"1" * 5000, "--from: this is not JSON: "),
        (b"[" * 100_000, "--from: the JSON is nested too deeply"),
        (b"[1]", "--from: a task is a JSON object, not an array"),
        (b"null", "--from: a task is a JSON object, not null"),
        (b"NaN", "--from: a task is a JSON object, not a number"),
        (b'{"_id": 5, "image": "busybox"}', "_id: 5 is not a string"),
        (b'{"image": "busybox", "limits": {"cpus": NaN}}', "limits.cpus: "),
        (b'{"image": "busybox", "command": ["\\ud800"]}', "command: "),
        (b'{"image": "busybox", "status": "succeeded"}', "task: has unknown fields 'status'"),
        (b"{}", "image: is missing"),
    ],
)
def test_json_that_is_no_task_is_refused_in_a_sentence(text: bytes, sentence: str) -> None:
    """Whatever is wrong with it."""
    assert problems("--from", "-", stdin=text)[0].startswith(sentence)


def test_a_whole_task_takes_nothing_from_other_flags() -> None:
    """Rather than guess which of two values counts."""
    found = problems("--from", "-", "--cpus", "1", "busybox", stdin=b"{}")
    assert [problem.partition(":")[0] for problem in found] == ["image", "--cpus"]


def test_without_image_and_without_json_both_are_offered() -> None:
    """The one thing that a task cannot do without."""
    assert problems() == ("image: is missing; give an IMAGE, or a whole task with --from",)
