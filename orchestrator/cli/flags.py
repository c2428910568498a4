"""The flags of `run` and `submit`, named as `docker run` names them, and the request they describe, unchecked."""

import csv
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click
from attrs import field, fields_dict, frozen

from orchestrator.cli.given import content_of, content_of_file, read_task, read_variables
from orchestrator.cli.page import option
from orchestrator.errors import InvalidTask
from orchestrator.task.fields import KEEP, RETRIES, kinds_of
from orchestrator.task.limits import Limits, about_limits


@frozen
class Flags:
    """What was given on the command line, as text. None and empty mean not given."""

    image: str | None = None
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    init: bool | None = None
    limits: Mapping[str, str] = field(factory=dict)
    """Those that were given, by their names in a task."""
    on_output_limit: str | None = None
    retries: str | None = None
    env: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    user: str | None = None
    workdir: str | None = None
    network: str | None = None
    mount_file: tuple[str, ...] = ()
    artifact: tuple[str, ...] = ()
    stdin: bool = False
    runtime: str | None = None
    label: tuple[str, ...] = ()
    keep: str | None = None
    task_id: str | None = None
    source: str | None = None

    def request(self) -> tuple[str | None, dict[str, object]]:
        """The id, or None for a new one, and the request. Raises InvalidTask when a file or the JSON cannot be read."""
        if self.source is not None:
            return self._whole(self.source)
        if self.image is None:
            raise InvalidTask(["image: is missing; give an IMAGE, or a whole task with --from"])
        request: dict[str, object] = {
            "image": self.image,
            "command": list(self.command),
            "init": self.init,
            "env": self._env(),
            "user": self.user,
            "working_dir": self.workdir,
            "network": None if self.network is None else self.network != "none",
            "runtime": self.runtime,
            "on_output_limit": self.on_output_limit,
            "retries": None if self.retries is None else RETRIES.amount(self.retries),
            "limits": {name: _LIMITS[name].amount(text) for name, text in self.limits.items()},
            "files": dict(map(_mounted, self.mount_file)),
            "artifacts": list(self.artifact),
            "labels": dict(map(label_of, self.label)),
            "keep": None if self.keep is None else KEEP.amount(self.keep),
            "stdin": content_of(sys.stdin.buffer.read()) if self.stdin else None,
        }
        given = {name: value for name, value in request.items() if value not in (None, {}, [])}
        return self.task_id, given if self.entrypoint is None else {**given, "entrypoint": self.entrypoint}

    def as_typed(self, problem: str) -> str:
        """What is wrong with a field of the request, told of the flag that the field came from."""
        field, _, reason = problem.partition(": ")
        if self.source is not None or field not in _FLAGS:
            return problem
        if field == "network":
            return f"--network {self.network}: {_NO_NETWORK}"
        return f"{_FLAGS[field]}: {reason}"

    def _whole(self, source: str) -> tuple[str | None, dict[str, object]]:
        if also := [*self._besides()]:
            raise InvalidTask([f"{flag}: cannot be given beside --from, which brings the whole task" for flag in also])
        task = read_task(source)
        own = task.pop("_id", None)
        if own is not None and not isinstance(own, str):
            raise InvalidTask([f"_id: {own!r} is not a string"])
        return (own if self.task_id is None else self.task_id), task

    def _besides(self) -> Iterator[str]:
        """The flags that were given beside --from and --id."""
        nothing = Flags()
        for name in fields_dict(Flags):
            if name == "limits":
                yield from (about_limits()[limit].flags[0] for limit in self.limits)
            elif name not in {"source", "task_id"} and getattr(self, name) != getattr(nothing, name):
                yield _flag(name)

    def _env(self) -> dict[str, str]:
        written = [entry for file in self.env_file for entry in read_variables("env-file", file)]
        return dict(_valued([*written, *map(_variable, self.env)]))


def takes_a_task(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of a task; it is called with them as ``flags``, its own follow by name."""

    @functools.wraps(function)
    def command(**given: object) -> None:
        limits = {name: given.pop(_parameter(name)) for name in _LIMITS}
        own = {name: given.pop(name) for name in fields_dict(Flags) if name != "limits"}
        own["limits"] = {name: text for name, text in limits.items() if text is not None}
        function(flags=Flags(**own), **given)  # type: ignore[arg-type]

    for parameter in reversed(_PARAMETERS):
        command = parameter(command)
    return command


def _parameter(limit: str) -> str:
    return f"limit_{limit}"


PROGRAM, LIMITS, INPUT, OUTPUT, IDENTITY = "Program", "Limits", "Input", "Output", "Identity"
"""The groups of a help page, in its order."""
_LIMITS = kinds_of(Limits)
_PARAMETERS = (
    click.argument("image", required=False),
    click.argument("command", nargs=-1, type=click.UNPROCESSED),
    option(PROGRAM, "--entrypoint", metavar="PROGRAM", help="In place of the image's entrypoint; '' for none."),
    option(PROGRAM, "--init/--no-init", default=None, help="Whether PID 1 is an init, as by default, or the program itself."),
    option(PROGRAM, "--workdir", "-w", metavar="PATH", help="Folder to start in."),
    option(PROGRAM, "--user", "-u", metavar="UID[:GID]", help="Numeric user to run as; GID is UID where left out."),
    option(PROGRAM, "--network", metavar="none|bridge", help="Anything but none asks for a network."),
    option(PROGRAM, "--runtime", metavar="NAME", help="What the engine is to run it with, such as runsc."),
    option(PROGRAM, "--retries", metavar="N", help="Times it may be run again when it fails."),
    *(
        option(LIMITS, *about.flags, _parameter(name), metavar=_LIMITS[name].placeholder, help=about.help)
        for name, about in about_limits().items()
    ),
    option(
        LIMITS,
        "--on-output-limit",
        metavar="end|drop_middle",
        help="What happens at the output limit: it is ended, or it goes on and both ends of the stream are kept.",
    ),
    option(INPUT, "--env", "-e", multiple=True, metavar="NAME[=VALUE]", help="A variable; without value, that of this shell."),
    option(INPUT, "--env-file", multiple=True, metavar="FILE", help="A file of variables, one NAME[=VALUE] a line."),
    option(
        INPUT, "--mount-file", multiple=True, metavar="FILE[:NAME]|src=FILE[,dst=NAME]", help="A file of yours, at /task/NAME."
    ),
    option(INPUT, "--stdin", "-i", is_flag=True, help="Read stdin to its end and hand it to the program."),
    option(INPUT, "--from", "source", metavar="FILE|-", help="A whole task as JSON, from a file or stdin, and no other flags."),
    option(OUTPUT, "--artifact", multiple=True, metavar="PATH", help="A file or folder below /out to keep; '.' for all of it."),
    option(IDENTITY, "--id", "task_id", metavar="ID", help="Id of the task; by default a new one."),
    option(OUTPUT, "--keep", metavar="TIME", help="How long the task and its output are kept after its end; 0: for ever."),
    option(IDENTITY, "--label", "-l", multiple=True, metavar="NAME[=VALUE]", help="A label to find the task by."),
)


_FLAGS = {
    "_id": "--id",
    "image": "IMAGE",
    "command": "COMMAND",
    "entrypoint": "--entrypoint",
    "env": "--env",
    "stdin": "--stdin",
    "working_dir": "--workdir",
    "user": "--user",
    "network": "--network",
    "files": "--mount-file",
    "artifacts": "--artifact",
    "runtime": "--runtime",
    "on_output_limit": "--on-output-limit",
    "retries": "--retries",
    "labels": "--label",
    "keep": "--keep",
    **{f"limits.{name}": about.flags[0] for name, about in about_limits().items()},
}
"""The flag, or argument, that each field of a request is given by."""
_NO_NETWORK = "a task gets no network here; only none is allowed"


def _flag(name: str) -> str:
    return name if name in {"image", "command"} else f"--{name.replace('_', '-')}"


def _variable(entry: str) -> tuple[str, str | None]:
    name, sep, value = entry.partition("=")
    return name, value if sep else None


def _valued(variables: Iterable[tuple[str, str | None]]) -> Iterable[tuple[str, str]]:
    """Names without a value take this process's, or are left out where it has none, as `docker run` does."""
    for name, value in variables:
        if value is not None:
            yield name, value
        elif name in os.environ:
            yield name, os.environ[name]


def _mounted(spec: str) -> tuple[str, object]:
    if spec.lstrip('"').partition("=")[0] in _SIDES:
        path, name = _sides(spec)
        return name or Path(path).name, content_of_file("mount-file", path)
    path, colon, name = spec.partition(":")
    try:
        return name or Path(path).name, content_of_file("mount-file", path)
    except InvalidTask as error:
        hint = "; if a name has a colon, write src=FILE,dst=NAME" if colon else ""
        raise InvalidTask([f"{problem}{hint}" for problem in error.problems]) from None


def _sides(spec: str) -> tuple[str, str]:
    """File and name, as `docker run --mount` has them: fields of CSV, so a field with a comma is written in quotes."""
    try:
        fields = [field.partition("=") for field in next(csv.reader([spec], strict=True))]
    except csv.Error as error:
        raise InvalidTask([f"--mount-file: {spec!r} is not src=FILE,dst=NAME: {error}"]) from None
    sides = {_SIDES.get(name): value for name, _, value in fields}
    if None in sides or not sides.get("src") or len(sides) < len(fields):
        raise InvalidTask([f"--mount-file: {spec!r} is not src=FILE,dst=NAME"])
    return sides["src"], sides.get("dst", "")


_SIDES = {"src": "src", "source": "src", "dst": "dst", "destination": "dst", "target": "dst"}


def label_of(spec: str) -> tuple[str, str]:
    """Name and value; without = the value is empty."""
    name, _, value = spec.partition("=")
    return name, value
