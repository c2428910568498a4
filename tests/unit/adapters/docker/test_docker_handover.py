"""The program that waits in a container and becomes a task's, run here without a container; and what it is told."""

import hashlib
import os
import platform
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker import handover_code
from orchestrator.adapters.docker.container_config import TMP, container_config
from orchestrator.adapters.docker.handover import (
    LONGEST_LINE,
    NEVER_BEGAN,
    AfterBegin,
    Handover,
    begin_line,
    labels_of,
    without_begin,
)
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.pause_program import HEADERS, Program
from orchestrator.adapters.docker.warm_fit import handover, misfit, waiting_config
from orchestrator.ports import Chunk, ContainerPlan, Stream, Warmth
from orchestrator.task.labels import TASK, WARM
from orchestrator.task.limits import Limits
from scripts.handover import compiled, compiler, source_digest
from tests.unit.adapters.docker.engine_stub import frame

LINE = begin_line({TASK: "t1"})
BASE = {"PATH": "/usr/bin:/bin", "A": "1", "HOME": "/"}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as a file."""
    if platform.machine() not in handover_code.CODE:
        pytest.skip(f"there is no such program for {platform.machine()}: run this on {', '.join(handover_code.CODE)}")
    path = tmp_path_factory.mktemp("handover") / "waiting"
    path.write_bytes(Program(handover_code.CODE).elf(platform.machine()))
    path.chmod(0o700)
    return path


def told(arguments: tuple[str, ...], **changes: Any) -> Handover:
    """A program without variables and input of its own."""
    return evolve(Handover(arguments, {}, "", keeps_stdin=False, line=LINE), **changes)


def run(waiting: Path, data: bytes) -> "subprocess.CompletedProcess[bytes]":
    """The program, told this."""
    return subprocess.run([waiting], input=data, env=BASE, capture_output=True, check=False)


def test_its_variables_take_the_place_of_the_containers(waiting: Path) -> None:
    """In their place, or behind them."""
    ran = run(waiting, told(("env",), variables={"A": "2", "B": "x=y"}).packed())
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == LINE + b"PATH=/usr/bin:/bin\nA=2\nHOME=/\nB=x=y\n"


def test_what_follows_is_its_input(waiting: Path) -> None:
    """To the byte, or none of it."""
    data = os.urandom(1 << 20)
    ran = run(waiting, told(("sha256sum",), keeps_stdin=True).packed() + data)
    assert ran.stdout == LINE + hashlib.sha256(data).hexdigest().encode() + b"  -\n"
    ran = run(waiting, told(("sh", "-c", "cat; readlink /proc/self/fd/0; ls /proc/self/fd"), folder="/").packed() + data)
    assert ran.stdout == LINE + b"/dev/null\n0\n1\n2\n3\n"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("nowhere",), 127, "No such file or directory"),
        (("",), 127, "No such file or directory"),
        (("/etc/passwd",), 126, "Permission denied"),
        (("/",), 126, "Permission denied"),
        (("/etc/passwd/x",), 1, "Not a directory"),
        (("x" * 256,), 1, "File name too long"),
    ],
)
def test_a_program_that_cannot_be_executed_ends_as_with_the_engines_init(
    waiting: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    """With its exit code and its words."""
    ran = run(waiting, told(arguments).packed())
    said = ran.stderr.decode()
    assert (ran.returncode, ran.stdout) == (code, LINE)
    assert said.startswith("[FATAL tini (")
    assert said.endswith(f")] exec {arguments[0]} failed: {why}\n")


def test_a_file_of_no_known_format_is_a_script(waiting: Path, tmp_path: Path) -> None:
    """As for execvp; found in the second folder of its path."""
    script = tmp_path / "script"
    script.write_text("echo $0 $1\n")
    script.chmod(0o700)
    ran = run(waiting, told(("script", "a"), variables={"PATH": f"/nowhere:{tmp_path}"}).packed())
    assert ran.stdout == LINE + f"{script} a\n".encode()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_nothing_begins_when_its_worker_dies_before_all_is_told(waiting: Path, share: float) -> None:
    """An end of its input, wherever it comes, is the end of a worker."""
    data = told(("echo", "x" * 100_000)).packed()
    ran = run(waiting, data[: int(len(data) * share)])
    assert (ran.returncode, ran.stdout, ran.stderr) == (NEVER_BEGAN, b"", b"")


def test_its_machine_code_is_that_of_its_source() -> None:
    """The digest of the source is noted with it; with a compiler at hand, the bytes are compared."""
    assert source_digest() == handover_code.SOURCE, "run `make handover`"
    for machine, code in handover_code.CODE.items():
        assert not (zig := compiler()) or compiled(zig, machine).hex() == code


def test_the_stack_is_no_code() -> None:
    """The second header says so, or old kernels would make all memory executable."""
    head = Program(handover_code.CODE).elf("x86_64")[:HEADERS]
    assert struct.unpack_from("<2I", head, 120) == (0x6474E551, 6)


@given(st.dictionaries(st.text(), st.text()))
def test_a_begin_line_is_read_back(labels: dict[str, str]) -> None:
    """It is one line."""
    line = begin_line(labels)
    assert (labels_of(line), line.count(b"\n")) == (labels, 1)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1)), max_size=8), st.integers(1, 40), st.integers(1, 40))
def test_the_begin_line_is_cut_off_the_stream(parts: list[tuple[int, bytes]], first: int, step: int) -> None:
    """However it comes in frames and reads; whatever the program writes, to both streams, stays."""
    frames = [frame(1, LINE[:first]), frame(1, LINE[first:]) if LINE[first:] else b"", *(frame(*part) for part in parts)]
    data = b"".join(frames)
    demux = AfterBegin(LINE)
    chunks: list[Chunk] = []
    for at in range(0, len(data), step):
        chunks += demux.feed(data[at : at + step])
    assert demux.has_begun
    streams = {1: Stream.STDOUT, 2: Stream.STDERR}
    assert [*chunks] == [(streams[kind], text) for kind, text in parts]


@pytest.mark.parametrize("data", [b"", b"x\n", LINE])
def test_the_begin_line_is_cut_off_a_log(data: bytes) -> None:
    """Once; a log whose begin was dropped, or that is another's, stays as it is."""
    log = (chunk for chunk in [(Stream.STDERR, b"e"), (Stream.STDOUT, LINE + data), (Stream.STDOUT, LINE)])
    kept = b"".join(text for stream, text in without_begin(log) if stream is Stream.STDOUT)
    assert kept == data + LINE


PLAN = ContainerPlan(
    name="orchestrator-t1-1",
    image="busybox",
    command=None,
    env={},
    working_dir=None,
    user="65534:65534",
    network=False,
    stdin=None,
    files={},
    limits=Limits(),
    labels={TASK: "t1"},
)
KEPT = evolve(PLAN, name="orchestrator-warm-1-0", labels={})
IMAGE = Image("sha256:1", entrypoint=("entry",), command=("own", "command"))


def test_a_waiting_container_has_all_that_a_container_of_its_own_has() -> None:
    """But for its program, its input and one mount that is read-only: each promise holds for both."""
    mount = {"Type": "bind", "Source": "/x", "Target": "/y", "ReadOnly": True}
    cold, warm = container_config(KEPT, IMAGE, "g", "", "n"), waiting_config(KEPT, IMAGE, "g", "n", mount)
    differs = {name for name in cold.keys() | warm.keys() if cold.get(name) != warm.get(name)}
    assert differs == {"Entrypoint", "Cmd", "Labels", "AttachStdin", "OpenStdin", "StdinOnce", "HostConfig"}
    cold_host, warm_host = cold["HostConfig"], warm["HostConfig"]
    assert isinstance(cold_host, dict)
    assert {**warm_host, "Mounts": None} == {**cold_host, "Mounts": None}
    assert warm_host["Mounts"] == [*cold_host["Mounts"], mount]
    assert warm["Labels"][WARM] == KEPT.name


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"env": {"A": "1"}, "stdin": b"x", "working_dir": TMP, "command": ("x",), "entrypoint": ()}, None),
        ({"limits": Limits(timeout=5, cpu_time=1, artifacts=1 << 20)}, None),
        *(
            ({"limits": Limits(**{name: value})}, Warmth.LIMITS)
            for name, value in {"cpus": 2, "memory": 1 << 30, "pids": 9, "output": 1, "tmp": 1 << 20, "shm": 1 << 20}.items()
        ),
        ({"files": {"a": b""}}, Warmth.FILES),
        ({"out": True}, Warmth.ARTIFACTS),
        ({"network": True}, Warmth.NETWORK),
        ({"init": False}, Warmth.INIT),
        ({"user": "1"}, Warmth.USER),
        ({"working_dir": "/somewhere"}, Warmth.FOLDER),
        ({"entrypoint": (), "command": ("x" * (1 << 20),)}, Warmth.PROGRAM),
        ({"labels": {TASK: "x" * LONGEST_LINE}}, Warmth.PROGRAM),
    ],
)
def test_a_task_fits_where_all_that_is_made_with_a_container_is_equal(changes: dict[str, Any], why: Warmth | None) -> None:
    """Times count from the begin of the program, so they may differ."""
    assert misfit(evolve(PLAN, **changes), KEPT, IMAGE) is why


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, ("entry", "own", "command")),
        ({"command": ("x",)}, ("entry", "x")),
        ({"entrypoint": ("e",)}, ("e",)),
        ({"entrypoint": ("e",), "command": ("x",)}, ("e", "x")),
        ({"entrypoint": ()}, ("own", "command")),
        ({"entrypoint": (), "command": ("x",)}, ("x",)),
    ],
)
def test_the_program_is_put_together_as_the_engine_does_it(changes: dict[str, Any], arguments: tuple[str, ...]) -> None:
    """Of what the task and its image say."""
    assert handover(evolve(PLAN, **changes), KEPT, IMAGE).arguments == arguments
