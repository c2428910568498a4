"""Runs many languages' programs with ``docker run`` and as tasks, and writes docs/programs.md: `make programs`.

Names of programs as arguments run only these, print their rows and leave the page as it is.
"""

import sys
from pathlib import Path

import docker
from attrs import asdict, evolve

from orchestrator.cli.render import console
from orchestrator.client import Client
from orchestrator.task import limits
from scripts.demo import servers
from scripts.engine import address
from scripts.packages import NotReady, told
from scripts.program_images import make
from scripts.program_limits import ROOMY, Limits, tight
from scripts.program_page import Row, line, page
from scripts.program_runs import as_task, with_docker
from scripts.program_table import PROGRAMS

PAGE = Path("docs/programs.md")
SHOWN = ("cpus", "memory", "pids", "timeout", "tmp")


def main(names: list[str]) -> int:
    """Run the programs both ways, then look for the limits of each; 1 where one is a fault.

    The page is written after each step, so that a run that is cut short leaves one that says what ran and what did not.
    """
    chosen = [program for program in PROGRAMS if not names or program.name in names]
    rows = {program.name: Row(program, missing="the run was ended before its turn") for program in PROGRAMS}
    engine = docker.DockerClient(base_url=address(), timeout=900)
    with told("programs"), servers(console(sys.stdout), Path(".orchestrator/programs")) as client:
        for step in (both_ways, with_tight_limits):
            for program in chosen:
                rows[program.name] = step(engine, client, rows[program.name])
                print(rows[program.name].missing or line(rows[program.name]).rstrip(), flush=True)
                if not names:
                    _write(engine, list(rows.values()))
    return 1 if any(row.is_fault for row in rows.values()) else 0


def _write(engine: docker.DockerClient, rows: list[Row]) -> None:
    about = engine.info()
    version = f"Docker {about['ServerVersion']}, cgroup v{about.get('CgroupVersion', '1')}, driver {about['CgroupDriver']}"
    defaults = {name: value for name, value in asdict(limits.Limits()).items() if name in SHOWN}
    PAGE.write_text(page(rows, version, about["NCPU"], defaults), encoding="utf-8")


def both_ways(engine: docker.DockerClient, client: Client, row: Row) -> Row:
    """With docker run and as a task; each once more with more granted where it failed."""
    try:
        row = Row(row.program, size=make(engine, row.program))
    except NotReady as reason:
        return Row(row.program, missing=str(reason))
    row = evolve(row, docker=with_docker(engine, row.program))
    if row.docker and not row.docker.passed:
        row = evolve(row, executable=with_docker(engine, row.program, "exec"))
    row = evolve(row, task=as_task(client, row.program))
    return row if row.task_passed else evolve(row, roomy=as_task(client, row.program, ROOMY))


def with_tight_limits(_: docker.DockerClient, client: Client, row: Row) -> Row:
    """The least limits of a program that passes as a task, and what becomes of it with all of them."""
    if not row.task_passed:
        return row
    patient: Limits = {**ROOMY, "timeout": patience(row)}
    least = tight(lambda limits: as_task(client, row.program, limits).passed, patient)
    return evolve(row, least=least, together=as_task(client, row.program, {**patient, **least}))


def patience(row: Row) -> str:
    """The time limit of the search: some programs that lack memory or a thread hang, and need not do so for minutes."""
    passed = [result.seconds for result in (row.task, row.roomy) if result is not None and result.passed]
    return f"{5 * max(passed) + 10:.0f}s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
