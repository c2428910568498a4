"""A deployment at work, for pictures of the page and for tests that look at all of it."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.ports import Stream
from orchestrator.task.values import Attempt
from statemachine import State
from tests.support.page_site import Site
from tests.support.page_tasks import FORWARD, Story, failed, figures, logs, series, succeeded

TEAMS = ("red", "blue", "search", "billing")
TRAIN = "train-7c1f"
LEAK = "resize-41d0"
FLAKY = "fetch-9b3e"

_TRACE = b"""\x1b[1mTraceback (most recent call last):\x1b[0m
  File "/task/resize.py", line 48, in <module>
    main()
  File "/task/resize.py", line 41, in main
    tiles = [load(path) for path in paths]
  File "/task/resize.py", line 23, in load
    return bytearray(width * height * 4)
\x1b[31mMemoryError: 268435456 bytes\x1b[0m
"""


def fill(site: Site) -> None:
    """Have all of it."""
    now = datetime.now(UTC)
    for story in _stories(now):
        site.plant(story)
    site.plant(_leak(now))
    site.plant(_flaky(now))
    site.plant(_training(now))
    for line in _training_lines():
        site.say(TRAIN, line)
    site.say(TRAIN, b"\x1b[33mwarning:\x1b[0m 3 records have no label\n", Stream.STDERR)
    site.answers |= {
        "/v1/stats": lambda: stats(datetime.now(UTC)),
        "/v1/workers": lambda: {"workers": workers(datetime.now(UTC))},
        f"/v1/tasks/{LEAK}/metrics": {"metrics": None, "series": series(1, [*_memory_grows()])},
        f"/v1/tasks/{TRAIN}/metrics": {"metrics": None, "series": series(1, [*_training_figures()])},
    }


def _stories(now: datetime) -> Iterator[Story]:
    dice = random.Random(4)  # noqa: S311  the same each time
    kinds = [*_KINDS]
    for number in range(140):
        command, image, fate = dice.choice(kinds)
        at = now - timedelta(seconds=40 + number * 25 + dice.random() * 20)
        labels = {"team": dice.choice(TEAMS), **({"nightly": ""} if dice.random() < 0.15 else {})}
        request = {"image": image, "command": command, "labels": labels}
        task_id = f"{dice.getrandbits(48):012x}"
        seconds = round(dice.lognormvariate(0.8, 1.0), 3)
        yield evolve(_fated(fate if dice.random() < 0.8 else "good", task_id, request, seconds), created_at=at)
    for number in range(3):
        request = {
            "image": "python:3.12-slim",
            "command": ["python", "report.py", f"--week={number + 40}"],
            "labels": {"team": "red"},
        }
        yield Story(f"report-{number}", request, created_at=now - timedelta(seconds=9 - number * 3))


def _fated(fate: str, task_id: str, request: dict[str, Any], seconds: float) -> Story:
    waits = (0.3, seconds, 0.05, 0.12)
    used = figures(seconds, 48 << 20, 0.6, 4)
    match fate:
        case "exit":
            return failed(
                task_id,
                request,
                Cause.EXIT,
                "the program exited with 2",
                exit_code=2,
                waits=waits,
                metrics=used,
                stderr=b"error\n",
            )
        case "late":
            words = "the wall time of 1m was used up; the program was ended"
            return failed(
                task_id,
                request,
                Cause.TIMEOUT,
                words,
                exit_code=143,
                waits=(0.3, 60.0, 0.05, 0.12),
                metrics=figures(60, 30 << 20, 0.1, 3),
            )
        case "oom":
            words = "the kernel killed the program because it reached its memory limit of 256 MiB"
            return failed(task_id, request, Cause.OOM, words, exit_code=137, waits=waits, metrics=used)
        case _:
            return succeeded(task_id, request, waits=waits, metrics=used, stdout=b"done\n")


_KINDS = (
    (["python", "report.py", "--week=39"], "python:3.12-slim", "good"),
    (["node", "build.mjs"], "node:22", "exit"),
    (["sh", "-c", "pg_dump $URL | gzip > /out/dump.gz"], "postgres:17", "good"),
    (["ffmpeg", "-i", "/task/in.webm", "-vf", "scale=1280:-2", "/out/clip.mp4"], "ffmpeg:7", "late"),
    (["python", "index.py", "--shard", "12/64"], "registry.local/search/indexer:4.2", "oom"),
    (["go", "test", "./..."], "golang:1.25", "exit"),
    (["true"], "busybox", "good"),
)


def _leak(now: datetime) -> Story:
    request = {
        "image": "python:3.12-slim",
        "command": ["python", "/task/resize.py", "--tiles", "64", "photos.zip"],
        "labels": {"team": "red", "job": "thumbnails"},
        "limits": {"memory": "256m", "cpus": 2, "timeout": "5m"},
        "artifacts": ["thumbs", "report.json"],
    }
    lines = [f"tile {number:>3} of 64  {number * 4 + 3:>4} MiB\n".encode() for number in range(1, 60)]
    return failed(
        LEAK,
        request,
        Cause.OOM,
        "the kernel killed the program because the container reached its memory limit of 256 MiB",
        exit_code=137,
        evidence={"ended_by": "kernel", "oom_killed": True, "ran_for_s": 14.382, "counted": {"oom_kills": 1}},
        stdout=b"".join(lines),
        stderr=_TRACE,
        dropped=0,
        files={"report.json": b'{"tiles": 59}\n', "thumbs/0001.webp": bytes(8123)},
        refused={"thumbs/latest": "it is a symbolic link"},
        metrics=evolve(figures(14.382, 256 << 20, 1.2, 9), throttled_s=0.4),
        waits=(0.42, 14.4, 0.06, 0.21),
        created_at=now - timedelta(seconds=95),
    )


def _flaky(now: datetime) -> Story:
    request = {
        "image": "curlimages/curl:8",
        "command": ["curl", "-fsS", "https://feed.local/today.json"],
        "retries": 2,
        "labels": {"team": "search"},
    }
    words = "the program exited with 22"
    last = succeeded(
        FLAKY,
        request,
        stdout=b'{"items": 1204}\n',
        metrics=figures(0.9, 9 << 20, 0.1, 2),
        created_at=now - timedelta(seconds=130),
    )
    error = evolve(last, stdout=b"", stderr=b"curl: (22) The requested URL returned error: 503\n")
    past = tuple(
        Attempt(
            number, at, at + timedelta(seconds=1), 22, Cause.EXIT, words, logs(error, number), figures(0.6, 8 << 20, 0.1, 2)
        )
        for number, at in ((1, last.created_at), (2, last.created_at + timedelta(seconds=4)))
    )
    again = (*FORWARD[1:], State.QUEUED)
    return evolve(
        last, path=(*again, *again, *last.path), waits=(0.3, 0.7, 0.1, 0.1, 2.0, 0.7, 0.1, 0.1, 4.0, 1.0, 0.1, 0.1), past=past
    )


def _training(now: datetime) -> Story:
    request = {
        "image": "registry.local/ml/trainer:9",
        "command": ["python", "-m", "trainer", "--epochs", "40", "--seed", "7"],
        "labels": {"team": "blue", "model": "ranker"},
        "limits": {"memory": "2g", "cpus": 4},
    }
    return Story(TRAIN, request, (State.RUNNING,), (0.6,), now - timedelta(seconds=74))


def _training_lines() -> Iterator[bytes]:
    for epoch in range(1, 19):
        loss = 2.3 * math.exp(-epoch / 9) + 0.21
        where = f"{_painted(2, f'{epoch * 4:>4} s')}  epoch {_painted(1, f'{epoch:>2}')}/40"
        yield f"{where}  loss {_painted(36, f'{loss:.4f}')}  accuracy {_painted(32, f'{1 - loss / 3.1:.3f}')}\n".encode()


def _painted(code: int, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _memory_grows() -> Iterator[tuple[float, float, int, int]]:
    for number in range(58):
        t = number / 4
        yield t, 110 + 30 * math.sin(number / 3), min(int((12 + 4.3 * number) * (1 << 20)), 256 << 20), 3 + number // 10


def _training_figures() -> Iterator[tuple[float, float, int, int]]:
    for number in range(280):
        t = number / 4
        yield (
            t,
            330 + 50 * math.sin(number / 7) - (260 if number % 32 < 3 else 0),
            int((700 + 300 * (1 - math.exp(-number / 40))) * (1 << 20)),
            12 + (number % 32 < 3),
        )


def workers(now: datetime) -> list[dict[str, Any]]:
    """Three of them."""
    rows = (
        ("worker-1", "alpha", 4, [TRAIN], "busy"),
        ("worker-2", "beta", 8, [], "idle"),
        ("worker-3", "beta", 8, ["drain-01"], "draining"),
    )
    return [
        {
            "name": name,
            "host": host,
            "pid": 4100 + number,
            "engine": f"engine-{number + 1}",
            "slots": slots,
            "tasks": tasks,
            "state": state,
            "started_at": (now - timedelta(hours=5 * number + 3)).isoformat(),
            "last_heartbeat": (now - timedelta(seconds=3 + number)).isoformat(),
        }
        for number, (name, host, slots, tasks, state) in enumerate(rows)
    ]


def stats(now: datetime) -> dict[str, Any]:
    """The last hour."""
    dice = random.Random(2)  # noqa: S311  the same each time
    buckets = []
    for number in range(60):
        busy = 9 + 6 * math.sin(number / 8) + dice.random() * 4
        finished = int(busy * 0.95)
        at = (now - timedelta(minutes=60 - number)).isoformat()
        buckets.append(
            {"at": at, "started": int(busy), "finished": finished, "failed": int(finished * (0.08 + 0.1 * dice.random()))}
        )
    return {
        "at": now.isoformat(),
        "window": 3600,
        "queue": {"length": 3, "oldest_seconds": 9.2},
        "tasks": {
            "queued": 3,
            "running": 2,
            "collecting": 0,
            "uploading": 0,
            "succeeded": 8412,
            "failed": 391,
            "timed_out": 57,
        },
        "rates": {"started_per_minute": 9.4, "finished_per_minute": 9.2},
        "wait_seconds": {"p50": 0.31, "p95": 2.6},
        "run_seconds": {"p50": 2.1, "p95": 41.7},
        "ends": {"succeeded": 497, "failed": 48, "timed_out": 7},
        "causes": {"exit": 29, "oom": 9, "timeout": 7, "image": 5, "signal": 3, "cancelled": 2},
        "over_time": buckets,
        "workers": workers(now),
    }
