"""`orchestrator serve` as a process on real servers, with a worker: what is answered, and what a kill takes."""

import itertools
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx

from orchestrator.client import Client
from statemachine import TERMINAL
from tests.support import pace
from tests.support.api_process import ApiProcess
from tests.support.containers import IMAGE
from tests.support.fault_form import long
from tests.support.installation import Installation
from tests.support.worker_process import until

SECONDS = pace.seconds(60)
KILLS = 50 if long() else 10
"""Kills of the server. `FAULT_LONG=1` makes it the long form."""


def _task(script: str, **more: object) -> dict[str, Any]:
    return {"image": IMAGE, "command": ["sh", "-c", script], **more}


def test_a_task_is_handed_in_followed_and_cancelled(installation: Installation, tmp_path: Path) -> None:
    """From a program that knows an address and nothing else; the server ends when it is told to, also while one listens."""
    installation.start()
    with ApiProcess(installation.environment, tmp_path) as api, api.client() as http:
        ended = http.post("/v1/tasks?wait=60s", json=_task("echo hello; echo bad >&2; exit 3")).json()
        assert (ended["status"], ended["cause"], ended["exit_code"]) == ("failed", "exit", 3)
        assert http.get(f"/v1/tasks/{ended['_id']}/logs/stderr").content == b"bad\n"
        speaking = http.post("/v1/tasks", json=_task("echo one; sleep 1; echo two")).json()
        with http.stream("GET", f"/v1/tasks/{speaking['_id']}/logs/stdout?follow=1") as answer:
            assert b"".join(answer.iter_raw()) == b"one\ntwo\n"
        staying = http.post("/v1/tasks", json=_task("sleep 600")).json()
        with http.stream("GET", f"/v1/tasks/{staying['_id']}/events") as answer:
            statuses = (json.loads(line[6:])["status"] for line in answer.iter_lines() if line.startswith('data: {"task_id'))
            assert next(status for status in statuses if status == "running")
            assert http.post(f"/v1/tasks/{staying['_id']}/cancel").status_code == 202
            assert [*statuses][-1] == "failed"
        with http.stream("GET", "/v1/events") as answer:
            assert next(answer.iter_lines()) == ": listening"
            assert api.stop() == 0


def test_curl_is_enough(installation: Installation, tmp_path: Path) -> None:
    """As the documentation has it."""
    installation.start()
    with ApiProcess(installation.environment, tmp_path) as api:
        task = json.dumps(_task("echo hello", id="mine"))
        told = _curl("--json", task, f"{api.url}/v1/tasks?wait=60s")
        assert json.loads(told)["status"] == "succeeded"
        assert _curl(f"{api.url}/v1/tasks/mine/logs/stdout") == b"hello\n"
        assert _curl("-r", "1-3", f"{api.url}/v1/tasks/mine/logs/stdout") == b"ell"
        assert _curl("-X", "DELETE", f"{api.url}/v1/tasks/mine") == b""


def _curl(*arguments: str) -> bytes:
    return subprocess.run(["curl", "-sS", "--fail", *arguments], capture_output=True, check=True, timeout=SECONDS).stdout


def test_no_task_that_was_answered_with_201_is_lost(installation: Installation, client: Client, tmp_path: Path) -> None:
    """The server is killed while tasks are handed in. One that had no answer may be sent again by its id."""
    accepted: list[str] = []
    numbers = itertools.count()
    over = threading.Event()

    def hand_in(api: ApiProcess) -> None:
        with api.client() as http:
            task_id = ""
            while not over.is_set():
                task_id = task_id or f"t{next(numbers)}"
                try:
                    if http.post("/v1/tasks", json=_task("true", id=task_id)).status_code in {200, 201}:
                        accepted.append(task_id)
                        task_id = ""
                except httpx.TransportError:
                    over.wait(0.05)

    with ApiProcess(installation.environment, tmp_path) as api:
        threads = [threading.Thread(target=hand_in, args=(api,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            count = len(accepted)
            until(lambda count=count: len(accepted) >= count + 3, SECONDS)  # type: ignore[misc]
            api.kill()
            api.start()
        over.set()
        for thread in threads:
            thread.join()
    for _ in range(2):
        installation.start(CONCURRENCY="8")
    assert len({*accepted}) == len(accepted)
    until(lambda: all(client.get(task_id).status in TERMINAL for task_id in accepted[-5:]), 10 * SECONDS)
    until(lambda: not [each for each in client.list(limit=10_000) if each.status not in TERMINAL], 10 * SECONDS)
    assert {client.get(task_id).status for task_id in accepted} == {"succeeded"}
