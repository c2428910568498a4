"""The command line against real servers, a real worker and real containers, as a user calls it."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.worker.health import Health, serve
from tests.support import pace
from tests.support.containers import library
from tests.support.up import IMAGE, ORCHESTRATOR, Up, call, clean_environment
from tests.support.worker_process import until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Servers and a worker for all tests of this file."""
    with Up(tmp_path_factory.mktemp("up")) as up:
        yield up


def test_run_is_what_docker_run_would_be(up: Up) -> None:
    """Both streams byte for byte, and the program's exit code."""
    script = "printf '\\000\\377out'; printf 'no newline' >&2; exit 3"
    done = up("run", "--quiet", IMAGE, "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"\x00\xffout", b"no newline")


def test_a_program_gets_its_variables_files_stdin_folder_and_user(up: Up) -> None:
    """Each flag arrives where docker run would bring it."""
    (up.folder / "names.txt").write_text("Ada\n")
    script = 'cat; cat /task/names.txt; echo "$WHO $(pwd) $(id -u)"'
    flags = ["-i", "--mount-file", "names.txt", "-e", "WHO", "-w", "/etc", "-u", "1234"]
    done = up("run", "-q", *flags, IMAGE, "sh", "-c", script, stdin=b"\xff\n", WHO="me")
    assert (done.returncode, done.stdout) == (0, b"\xff\nAda\nme /etc 1234\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--timeout", "1s", IMAGE, "sleep", "60"), 124, b"time limit of 1 s"),
        ((IMAGE, "no-such-program"), 127, b"no-such-program"),
        (("-m", "16m", IMAGE, "tail", "/dev/zero"), 137, b"memory limit of 16 MiB"),
        ((IMAGE, "sh", "-c", "kill -ABRT $$"), 134, b"SIGABRT"),
        (("--output-limit", "1k", IMAGE, "yes"), 125, b"limit of 1 KiB"),
        (("no-such-image:1",), 125, b"no-such-image:1"),
        (("--network", "bridge", IMAGE), 125, b"network"),
        (("--cpus", "0", "-m", "1t", IMAGE), 125, b"--cpus"),
    ],
)
def test_the_exit_code_says_whose_fault_it_was_and_stderr_says_why(
    up: Up, arguments: tuple[str, ...], code: int, words: bytes
) -> None:
    """The codes of docker run and timeout."""
    done = up("run", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_submitted_task_is_found_by_all_commands_that_look(up: Up) -> None:
    """submit, list, show and logs speak of the same task."""
    task_id = up("submit", "-l", "a=b", IMAGE, "echo", "hello").stdout.decode().strip()
    with up.client() as client:
        assert list(client.watch(task_id))[-1].status == "succeeded"
    followed = up("run", "--json", "--id", "after", IMAGE, "true")
    assert json.loads(followed.stdout)["status"] == "succeeded"
    listed = up("list").stdout.decode().splitlines()
    assert [line.split()[0] for line in listed][:3] == ["ID", "after", task_id]
    document = json.loads(up("show", "--json", task_id).stdout)
    assert (document["status"], document["labels"], document["exit_code"]) == ("succeeded", {"a": "b"}, 0)
    assert up("logs", task_id).stdout == b"hello\n"


def test_a_whole_task_comes_from_stdin(up: Up) -> None:
    """As other services write it, with all limits."""
    task = {"_id": "whole", "image": IMAGE, "command": "cat", "stdin": {"base64": "AP8="}, "limits": {"cpus": 0.5}}
    done = up("run", "-q", "--from", "-", stdin=json.dumps(task).encode())
    assert (done.returncode, done.stdout) == (0, b"\x00\xff")


def test_ctrl_c_leaves_the_task_to_the_worker(up: Up) -> None:
    """The client may leave, and the task ends in the same way."""
    follower = subprocess.Popen(
        [*ORCHESTRATOR, "run", "--id", "left-alone", "-i", IMAGE, "sh", "-c", f"sleep {pace.seconds(1)}; echo done"],
        cwd=up.folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with follower:
        assert follower.stderr
        with up.client() as client:
            until(lambda: any(task.status == "running" for task in client.list() if task.id == "left-alone"))
        follower.send_signal(signal.SIGINT)
        assert "Task left-alone goes on." in follower.stderr.read()
    assert follower.returncode == 130
    with up.client() as client:
        assert list(client.watch("left-alone"))[-1].status == "succeeded"
    assert up("logs", "left-alone").stdout == b"done\n"


def test_progress_lives_in_a_terminal_and_leaves_stdout_alone(up: Up) -> None:
    """What is piped is the program's output, whatever is shown meanwhile."""
    ours, theirs = pty.openpty()
    command = [*ORCHESTRATOR, "run", IMAGE, "sh", "-c", f"sleep {pace.seconds(1)}; echo hello"]
    with subprocess.Popen(
        command, cwd=up.folder, env=clean_environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        assert process.stdout
        assert process.stdout.read() == b"hello\n"
    shown = _read_all(ours)
    assert b"running" in shown
    assert b"succeeded" in shown
    assert b"\x1b[" in shown


def _read_all(terminal: int) -> bytes:
    parts = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return b"".join(parts)


def test_the_doctor_finds_all_well_and_leaves_nothing_behind(up: Up) -> None:
    """Every server, the engine, and a container."""
    done = up("doctor", "--image", IMAGE, "--json")
    report = json.loads(done.stdout)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert (done.returncode, report["ok"]) == (0, True)
    assert {
        "MongoDB",
        "MongoDB kind",
        "MongoDB writes",
        "Redis",
        "Redis events",
        "queue",
        "objects",
        "Docker engine",
        "container",
        "spool",
    } <= {check["check"] for check in report["checks"]}
    with library() as engine:
        assert engine.containers.list(all=True, ignore_removed=True, filters={"name": "orchestrator-doctor"}) == []


def test_the_doctor_is_not_content_without_an_image(up: Up) -> None:
    """All servers are ok, but the isolation was not shown."""
    done = up("doctor", "--image", "no-such-image:1", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    assert [check["check"] for check in report["checks"] if not check["ok"]] == ["image"]
    assert "container" not in {check["check"] for check in report["checks"]}


def test_the_doctor_says_what_to_do_about_each_server_that_is_away(tmp_path: Path) -> None:
    """A server that is away does not hide the others."""
    away = {"MONGO_URI": "mongodb://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1", "MINIO_ENDPOINT": "127.0.0.1:1"}
    more = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "SPOOL_DIR": "/proc/none"}
    done = call(tmp_path, "doctor", **away, **more)
    lines = done.stdout.decode().splitlines()
    failed = [line[6:20].strip() for line in lines if line.startswith("FAIL")]
    assert failed == ["spool", "MongoDB", "Redis", "object storage", "Docker engine"]
    assert lines[-1].endswith(f" ok, {len(failed)} to do")
    assert len([line for line in lines if "to do: " in line]) == len(failed)
    assert done.returncode == 1
    assert done.stderr == b""


def test_the_doctor_names_every_bad_setting(tmp_path: Path) -> None:
    """Without the settings it can check nothing else."""
    done = call(tmp_path, "doctor", CONCURRENCY="0", MINIO_USE_SSL="perhaps")
    *lines, summary = done.stdout.decode().splitlines()
    assert [line[:4] for line in lines if line[:4].strip()] == ["FAIL", "FAIL"]
    assert summary == "2 checks: 0 ok, 2 to do"
    assert done.returncode == 1


def test_health_is_an_exit_code(up: Up, tmp_path: Path) -> None:
    """0 where a worker can work, 1 where it cannot."""
    well = up("health")
    assert (well.returncode, well.stdout, well.stderr) == (0, b"", b"")
    away = call(tmp_path, "health", MONGO_URI="mongodb://127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1", MINIO_ENDPOINT="none:1")
    assert away.returncode == 1
    assert away.stderr.splitlines() == [
        b"MongoDB does not answer: Connection refused",
        b"Redis does not answer: Error 111 connecting to 127.0.0.1:1. Connection refused.",
    ]


def test_health_asks_the_worker_where_it_can_be_asked(up: Up) -> None:
    """Its servers may be away, which is no reason to end a worker that waits for them."""
    answer = [Health(alive=True, draining=True, tasks=1)]
    with serve(0, lambda: answer[0]) as server:
        port = {"HEALTH_PORT": str(server.server_address[1])}
        assert up("health", MONGO_URI="mongodb://127.0.0.1:1", **port).returncode == 0
        answer[0] = Health(alive=False, draining=False, tasks=0)
        dead = up("health", **port)
        server.shutdown()
    assert dead.returncode == 1
    said = b'{"alive": false, "draining": false, "tasks": 0, "engine": true, "database": true}'
    assert dead.stderr.splitlines() == [b"the worker does not live: " + said]
    assert up("health", **port).stderr.startswith(b"the worker does not answer: ")
