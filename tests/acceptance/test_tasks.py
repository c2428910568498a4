"""Tasks through a real worker process: real queue, containers, documents, events and objects, seen from outside."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from orchestrator.adapters.redis.client import redis_client
from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.wiring import connect
from tests.support import pace
from tests.support.containers import IMAGE
from tests.support.installation import Installation, one_worker
from tests.support.servers import corners
from tests.support.worker_process import until

BYTES = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def installation(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for all tests of this file."""
    with one_worker(servers, tmp_path_factory.mktemp("installation")) as installation:
        yield installation


ENDINGS = [
    ("true", {}, "succeeded", None, 0),
    ("exit 3", {}, "failed", "exit", 3),
    (["no-such-program"], {}, "failed", "exit", 127),
    ("kill -SEGV $$", {}, "failed", "signal", 139),
    (f"echo before; sleep {pace.seconds(60)}", {"limits": {"timeout": f"{pace.seconds(1)}s"}}, "timed_out", "timeout", 143),
    ("trap '' TERM; while :; do sleep 1; done", {"limits": {"timeout": pace.seconds(1)}}, "timed_out", "timeout", 137),
    ("tail /dev/zero", {"limits": {"memory": "16m"}}, "failed", "oom", 137),
    ("yes", {"limits": {"output": "64k"}}, "failed", "output_limit", 137),
    ("true", {"image": "orchestrator-nowhere:9"}, "failed", "image", None),
    ("true", {"image": "Not An Image", "limits": {"pids": -1}}, "failed", "invalid", None),
]


@pytest.mark.parametrize(("command", "more", "status", "cause", "code"), ENDINGS)
def test_every_ending_is_stored_and_announced_alike(
    installation: Installation, command: object, more: dict[str, object], status: str, cause: str | None, code: int | None
) -> None:
    """The document, the events that a subscriber heard and the returned facts agree, and no container is left."""
    with installation.heard() as events:
        task_id = installation.submit(command, **more)
        heard = events.of(task_id)
    document = installation.ended(task_id)
    assert (document["status"], document["cause"], document["exit_code"]) == (status, cause, code)
    told = [(event["seq"], event["trigger"], event["source"], event["status"]) for event in heard]
    assert told == [(row["seq"], row["trigger"], row["source"], row["status"]) for row in document["history"]]
    assert [event["seq"] for event in heard] == list(range(1, document["seq"] + 1))
    last = heard[-1]
    assert (last["exit_code"], last["cause"], last["message"]) == (code, cause, document["message"])
    assert all("message" not in event for event in heard[:-1])
    until(lambda: not installation.containers_of(task_id))


def test_output_is_kept_byte_for_byte_and_apart(installation: Installation) -> None:
    """All 256 byte values, no newline at the end, and what stderr got is not in stdout."""
    script = "cat /task/all/bytes; echo problem >&2"
    task_id = installation.submit(script, files={"all/bytes": BYTES})
    document = installation.ended(task_id)
    for stream, expected in (("stdout", BYTES), ("stderr", b"problem\n")):
        stored, metadata = installation.object(document, stream)
        assert stored == expected
        entry = document["logs"][stream]
        assert entry["bytes"] == len(expected)
        assert entry["sha256"] == hashlib.sha256(expected).hexdigest() == metadata["x-amz-meta-sha256"]
        assert entry["truncated"] is False


def test_stdin_environment_user_and_folder_reach_the_program(installation: Installation) -> None:
    """What a task asks for is what its program sees."""
    asked = {"stdin": "from stdin\n", "env": {"NAME": "a b"}, "user": "1234:5678", "working_dir": "/tmp"}  # noqa: S108
    document = installation.ended(installation.submit('cat; echo "$NAME"; id -u; id -g; pwd', **asked))
    assert installation.object(document, "stdout")[0] == b"from stdin\na b\n1234\n5678\n/tmp\n"


def test_the_container_is_locked_down_by_default(installation: Installation) -> None:
    """No capability, no way to gain one, a filter on system calls, no network, nothing writable but /tmp, an ordinary user."""
    script = """
    grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t ' ' '
    ls /sys/class/net; id -u
    touch /x 2>/dev/null || echo read-only; touch /tmp/x && echo writable
    """
    document = installation.ended(installation.submit(script))
    lines = installation.object(document, "stdout")[0].decode().splitlines()
    none = "0000000000000000"
    expected = [f"CapBnd: {none}", f"CapEff: {none}", "NoNewPrivs: 1", "Seccomp: 2", "lo", "65534", "read-only", "writable"]
    assert sorted(lines) == sorted(expected)


def test_a_program_that_runs_for_seconds_is_sampled(installation: Installation) -> None:
    """CPU of a busy loop and its memory, on average at most about the limit of one CPU; one sample may be above it."""
    document = installation.ended(installation.submit(f"timeout {pace.seconds(4):.0f} sh -c 'while :; do :; done'; true"))
    metrics = document["metrics"]
    assert metrics["samples"] >= 1
    assert 0 < metrics["cpu_percent"]["avg"] <= metrics["cpu_percent"]["max"]
    assert metrics["cpu_percent"]["avg"] < 150
    assert metrics["memory_bytes"]["max"] > 0
    assert metrics["duration_s"] > 3


def test_a_delivery_of_a_finished_or_unknown_task_does_no_harm(installation: Installation) -> None:
    """The worker continues with the next task."""
    first = installation.submit("true")
    before = installation.ended(first)
    with installation.heard() as events:
        installation.deliver(first)
        installation.deliver("never-inserted")
        events.of(installation.submit("true"))
    assert installation.document(first)["history"] == before["history"]


def test_rq_shows_jobs_for_what_they_are(installation: Installation) -> None:
    """While the task waits, and for RESULT_TTL after its end: its image, command and labels, and its result."""
    services = connect(installation.settings)
    request = {"image": IMAGE, "command": ["sh", "-c", "exit 3"], "labels": {"team": "blue"}}
    with closing(services.store), redis_client(installation.settings) as redis:
        task = Client(services).submit(request)
        installation.ended(task.id)
        queue = Queue(installation.settings.queue, connection=redis, serializer=JSONSerializer)
        jobs = [queue.fetch_job(key.decode().removeprefix("rq:job:")) for key in redis.keys("rq:job:*")]
        (job,) = [job for job in jobs if job and job.meta.get("task_id") == task.id]
        until(lambda: job.get_status() is JobStatus.FINISHED)
        assert job.description == f"{task.id} {IMAGE} sh -c exit 3"
        assert job.meta == {"task_id": task.id, "deployment": services.deployment, "labels": {"team": "blue"}}
        assert job.return_value(refresh=True) == {"status": "failed", "cause": "exit", "exit_code": 3}
        assert all(590 < redis.ttl(key) <= 600 for key in (job.key, f"rq:results:{job.id}"))
        command = [sys.executable, "-m", "rq.cli", "info", "--url", installation.settings.redis_url]
        shown = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert f"{installation.settings.queue} |" in shown
    assert "1 workers" in shown


def test_the_stock_rq_worker_runs_the_same_function(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One at a time, in forked children, with nothing of this project around it; a time limit of RQ's ends nothing."""
    folder = tmp_path_factory.mktemp("stock")
    corner = next(corners(servers.environment))
    installation = Installation({**corner.environment, "SPOOL_DIR": str(folder / "spool"), "PULL_POLICY": "never"}, folder)
    ids = [installation.submit(f"echo {number}") for number in range(2)]
    ids += [installation.submit("sleep 9; echo 2", time_limit=8)]
    settings = installation.settings
    stock = ("-m", "rq.cli", "worker", settings.queue, "--url", settings.redis_url, "--serializer", "json", "--burst")
    installation.start(sys.executable, *stock)
    documents = [installation.ended(task_id) for task_id in ids]
    assert [document["status"] for document in documents] == ["succeeded"] * 3
    assert [installation.object(document, "stdout")[0] for document in documents] == [b"0\n", b"1\n", b"2\n"]
    installation.workers[0].wait(pace.seconds(60))
    lines = [json.loads(line) for line in (folder / "worker-0.log").read_text().splitlines() if line.startswith("{")]
    assert {line["task"] for line in lines if "task" in line} == set(ids)
    corner.wipe()
