"""Runs many languages' programs with ``docker run`` and as tasks, and writes docs/programs.md: `make programs`.

Names of programs as arguments run only these, print their rows and leave the page as it is.
"""

import sys
from pathlib import Path

import docker
from attrs import asdict, evolve

from orchestrator import request
from orchestrator.cli.render import console
from orchestrator.client import Client
from scripts.demo import servers
from scripts.engine import address
from scripts.packages import NotReady, told
from scripts.program_images import make
from scripts.program_limits import ROOMY, Limits, tight
from scripts.program_page import Row, line, page
from scripts.program_runs import as_task, with_docker
from scripts.program_table import PROGRAMS, Program

PAGE = Path("docs/programs.md")
SHOWN = ("cpus", "memory", "pids", "timeout", "tmp")


def main(names: list[str]) -> int:
    """Run the programs; 1 where one is a fault."""
    chosen = [program for program in PROGRAMS if not names or program.name in names]
    engine = docker.DockerClient(base_url=address(), timeout=900)
    with told("programs"), servers(console(sys.stdout), Path(".orchestrator/programs")) as client:
        rows: list[Row] = []
        for program in chosen:
            rows.append(_tried(engine, client, program))
            if not names:
                _write(engine, rows)
    return 1 if any(row.is_fault for row in rows) else 0


def _write(engine: docker.DockerClient, rows: list[Row]) -> None:
    """Also when a run is cut short the page says what ran and what did not."""
    rest = [Row(program, missing="the run was ended before its turn") for program in PROGRAMS[len(rows) :]]
    PAGE.write_text(page([*rows, *rest], _engine(engine), engine.info()["NCPU"], _defaults()), encoding="utf-8")


def _tried(engine: docker.DockerClient, client: Client, program: Program) -> Row:
    try:
        row = _run(client, engine, Row(program, size=make(engine, program)))
    except NotReady as reason:
        row = Row(program, missing=str(reason))
    print(row.missing or line(row).rstrip(), flush=True)
    return row


def _run(client: Client, engine: docker.DockerClient, row: Row) -> Row:
    """Both ways, then with tight limits."""
    row = evolve(row, docker=with_docker(engine, row.program))
    if row.docker and not row.docker.passed:
        row = evolve(row, executable=with_docker(engine, row.program, "exec"))
    row = evolve(row, task=as_task(client, row.program))
    if row.task and not row.task.passed:
        row = evolve(row, roomy=as_task(client, row.program, ROOMY))
    if not row.task_passed:
        return row
    patient: Limits = {**ROOMY, "timeout": patience(row)}
    least = tight(lambda limits: as_task(client, row.program, limits).passed, patient)
    return evolve(row, least=least, together=as_task(client, row.program, {**patient, **least}))


def patience(row: Row) -> str:
    """The time limit of the search: some programs that lack memory or a thread hang, and need not do so for minutes."""
    passed = [result.seconds for result in (row.task, row.roomy) if result is not None and result.passed]
    return f"{5 * max(passed) + 10:.0f}s"


def _engine(engine: docker.DockerClient) -> str:
    about = engine.info()
    return f"Docker {about['ServerVersion']}, cgroup v{about.get('CgroupVersion', '1')}, driver {about['CgroupDriver']}"


def _defaults() -> dict[str, float]:
    return {name: value for name, value in asdict(request.Limits()).items() if name in SHOWN}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
