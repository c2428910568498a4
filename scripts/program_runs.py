"""Runs one program of `make programs`: with ``docker run``, and as a task through a worker."""

import time

import docker
from attrs import frozen

from orchestrator.client import Client
from orchestrator.ports import Stream
from scripts.program_limits import Limits
from scripts.program_table import Program

PATIENCE = 600
"""Seconds that a program may take with ``docker run``."""


@frozen
class Result:
    """What became of one run: whether the program said what it had to, after how many seconds, and else why not."""

    passed: bool
    seconds: float
    reason: str = ""

    def __str__(self) -> str:
        outcome = "passed" if self.passed else self.reason
        return f"{outcome}, {self.seconds:.1f} s"


def with_docker(client: docker.DockerClient, program: Program, tmp: str = "") -> Result:
    """The result of ``docker run --network none --read-only --tmpfs /tmp``; ``tmp`` are options of that folder."""
    began = time.monotonic()
    container = client.containers.create(
        program.image,
        list(program.command),
        network_mode="none",
        read_only=True,
        tmpfs={"/tmp": tmp},  # noqa: S108 - a folder of the container
        labels={"orchestrator.program": program.name},
    )
    try:
        container.start()
        code = int(container.wait(timeout=PATIENCE)["StatusCode"])
        seconds = time.monotonic() - began
        out, errors = (container.logs(stdout=stream, stderr=not stream).decode(errors="replace") for stream in (True, False))
    finally:
        container.remove(force=True)
    return judged(program, seconds, f"exit {code}" if code else "", out, errors)


def as_task(client: Client, program: Program, limits: Limits | None = None) -> Result:
    """The result of a task; without limits it has the defaults. It lasts from the submission until the task has ended."""
    began = time.monotonic()
    request = {"image": program.image, "command": list(program.command), "limits": dict(limits or {})}
    task_id = client.submit(request).id
    for _ in client.watch(task_id):
        pass
    seconds = time.monotonic() - began
    task = client.get(task_id)
    how = "" if task.exit_code == 0 and task.cause is None else " ".join(map(str, filter(None, (task.cause, task.exit_code))))
    if task.logs is None:
        return Result(passed=False, seconds=seconds, reason=f"{how}: {task.message}")
    out, errors = (b"".join(client.logs(task_id, stream)).decode(errors="replace") for stream in Stream)
    return judged(program, seconds, how, out, errors)


def judged(program: Program, seconds: float, failure: str, out: str, errors: str) -> Result:
    """Passed where nothing failed and the last line is the right one; else the reason ends with what was said last."""
    said = last_line(out)
    if not failure and said == program.says:
        return Result(passed=True, seconds=seconds)
    return Result(
        passed=False, seconds=seconds, reason=f"{failure or 'wrong output'}: {last_line(errors) or said or 'no output'}"
    )


def last_line(text: str) -> str:
    """The last line that is not blank; empty where there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
