"""The command `artifacts`: what a task has left in /out. The paths in a document are a program's, and are not believed."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from orchestrator.cli.connect import client
from orchestrator.cli.output import print_bytes, raw_option
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import printable
from orchestrator.errors import UnknownTask
from orchestrator.ports import Stream
from orchestrator.task import fields as kinds
from orchestrator.wiring import Server


@click.command(
    "artifacts",
    epilog=examples(
        "orchestrator artifacts 3f2a",
        "orchestrator artifacts --output results 3f2a",
    ),
)
@click.argument("task_id", metavar="ID")
@click.argument("path", required=False)
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Write them below this folder.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@raw_option
def artifacts_command(task_id: str, path: str | None, output: Path | None, *, force: bool, raw: bool) -> None:
    """List the artifacts of an ended task, print the bytes of the one at PATH, or write it, or all, below a folder.

    When a file is there already, nothing is written at all.
    """
    tasks = client({Server.MONGODB, Server.S3})
    task_id = tasks.id_of(task_id)
    if output:
        chosen = [each.path for each in tasks.artifacts(task_id) if path in {None, each.path}]
        if path and not chosen:
            raise UnknownTask(f"task {task_id!r} has no stored artifact {path!r}")
        for each in chosen:
            _check(each, output, force=force)
        for each in chosen:
            _save(tasks.artifact(task_id, each), each, output, force=force)
    elif path:
        print_bytes(tasks.artifact(task_id, path), Stream.STDOUT, raw=raw)
    else:
        from orchestrator.cli.render import artifacts_table, console  # noqa: PLC0415  the library that draws is slow to import

        console(sys.stdout).print(artifacts_table(tasks.get(task_id)))


def _target(path: str, folder: Path, *, force: bool) -> Path:
    """Where one is written: neither its name nor a link that is there already leads out of the folder."""
    named = folder / kinds.FILE_NAME(path)
    target = named.resolve()
    if not target.is_relative_to(folder.resolve()) or target == folder.resolve():
        raise click.FileError(printable(path), f"it would be written outside of {folder}")
    if not force and os.path.lexists(named):
        raise click.FileError(printable(named), "it is there already; --force writes over it")
    return target


def _check(path: str, folder: Path, *, force: bool) -> None:
    """Refuse a path before anything is written: the document may have been written by anybody."""
    try:
        _target(path, folder, force=force)
    except ValueError as error:
        raise click.FileError(printable(path), f"its name {error}") from None


def _save(content: Iterable[bytes], path: str, folder: Path, *, force: bool = False) -> None:
    target = _target(path, folder, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb" if force else "xb") as file:
            file.writelines(content)
    except OSError as error:
        raise click.FileError(printable(target), error.strerror or str(error)) from error
