"""The command `artifacts`: what a task has left in /out. The paths in a document are a program's, and are not believed."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from orchestrator import kinds
from orchestrator.cli.connect import client
from orchestrator.cli.render import artifacts_table, console
from orchestrator.errors import UnknownTask


@click.command("artifacts")
@click.argument("task_id", metavar="ID")
@click.argument("path", required=False)
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Write them below this folder.")
def artifacts_command(task_id: str, path: str | None, output: Path | None) -> None:
    """List the artifacts of an ended task, print the bytes of the one at PATH, or write it, or all, below a folder."""
    tasks = client()
    if output:
        chosen = [each.path for each in tasks.artifacts(task_id) if path in {None, each.path}]
        if path and not chosen:
            raise UnknownTask(f"task {task_id!r} has no stored artifact {path!r}")
        for each in chosen:
            _save(tasks.artifact(task_id, each), each, output)
    elif path:
        for chunk in tasks.artifact(task_id, path):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    else:
        console(sys.stdout).print(artifacts_table(tasks.get(task_id)))


def _save(content: Iterable[bytes], path: str, folder: Path) -> None:
    """Write one below the folder; neither its name nor a link that is there already leads out of it."""
    target = (folder / kinds.FILE_NAME(path)).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise click.FileError(path, f"it would be written outside of {folder}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(content)
    except OSError as error:
        raise click.FileError(str(target), error.strerror or str(error)) from error
