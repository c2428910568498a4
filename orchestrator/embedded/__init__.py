"""Real servers as child processes, for tests and for the command ``up``."""

import secrets
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import evolve
from pymongo import MongoClient

from orchestrator.embedded import home
from orchestrator.embedded.home import State
from orchestrator.embedded.ports import choose_ports
from orchestrator.embedded.process import Process, Server
from orchestrator.embedded.servers import RECIPES
from orchestrator.folder_lock import hold, is_held
from orchestrator.settings.environment import settled

DATABASE = "secantusdb"
NAMES = tuple(recipe.name for recipe in RECIPES)
PATIENCE = 600.0
"""Seconds that a server may take to start. Even on the slowest machine, only a server that hangs needs them."""
_GRACE = 5.0


def absent(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the servers that ``environment`` does not point to."""
    named = settled({name: value for name, value in environment.items() if value})
    return tuple(recipe.name for recipe in RECIPES if recipe.variable not in named)


def running(folder: Path) -> Mapping[str, str]:
    """The environment variables of the servers that run on ``folder`` now, in any process; empty if none run."""
    return home.load(folder).environment if is_held(folder) else {}


class Embedded:
    """Runs servers during a block. Their data, logs and passwords are in ``folder``, where the next run finds them.

    Entering waits up to ``patience`` seconds for each server. Raises InfrastructureError if a server ends, does not get ready
    or is not installed, or if the folder is in use. The servers die with the thread that entered, even if it is killed.
    """

    def __init__(self, folder: Path, names: Collection[str] = NAMES, patience: float = PATIENCE) -> None:
        self.folder = folder.absolute()
        self._recipes = [recipe for recipe in RECIPES if recipe.name in names]
        self._patience = patience
        self._exit = ExitStack()
        self.processes: dict[str, Process] = {}
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lock = stack.enter_context(hold(self.folder))
            stack.callback(self._stop)
            for server in self._planned():
                self._start(server, lock)
            for process in self.processes.values():
                process.await_ready(self._patience)
            home.save(self.folder, evolve(home.load(self.folder), environment=self.environment))
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.close()

    def _planned(self) -> list[Server]:
        """The servers to run, with the ports and passwords of the last run if there are any.

        Ports and passwords are stored first.
        """
        state = home.load(self.folder)
        last = [port for recipe in self._recipes for port in state.ports.get(recipe.name, ())]
        free = iter(choose_ports(sum(recipe.ports for recipe in self._recipes), last))
        ports = {recipe.name: [*islice(free, recipe.ports)] for recipe in self._recipes}
        passwords = {recipe.name: state.password(recipe.name) for recipe in self._recipes}
        home.save(self.folder, State({**state.passwords, **passwords}, {**state.ports, **ports}))
        return [recipe.build(self.folder / recipe.name, ports[recipe.name], passwords[recipe.name]) for recipe in self._recipes]

    def _start(self, server: Server, lock: int) -> None:
        folder = self.folder / server.name
        begun = folder / "begun"
        if server.first and not begun.exists():
            first = self.processes[server.name] = Process(server.first, folder, lock)
            first.start()
            first.await_ready(self._patience)
            first.stop(grace=0)
            begun.touch()
        process = self.processes[server.name] = Process(server, folder, lock)
        process.start()
        self.environment |= server.settings

    def _stop(self) -> None:
        """Ask all to end before waiting for each, so that the slowest one decides the time. An error keeps none from that."""
        with ExitStack() as last:
            for process in self.processes.values():
                last.callback(process.stop, _GRACE)
            for process in self.processes.values():
                last.callback(process.ask_to_stop)
            home.save(self.folder, evolve(home.load(self.folder), environment={}))


def renew_passwords(folder: Path, names: Collection[str] = NAMES) -> None:
    """Give those of the servers on ``folder`` other passwords, which must not run. Raises as Embedded does.

    Valkey and SeaweedFS take a new one when they start. SecantusDB keeps its user with the data, so it runs for this.
    """
    kept = dict(home.load(folder.absolute()).passwords)
    if DATABASE in names and DATABASE in kept:
        kept[DATABASE] = secrets.token_urlsafe(24)
        with Embedded(folder, [DATABASE]) as servers, MongoClient[Any](servers.environment["MONGO_URI"]) as client:
            client.admin.command("updateUser", "orchestrator", pwd=kept[DATABASE])
            home.save(servers.folder, evolve(home.load(servers.folder), passwords=kept))
    others = {name: password for name, password in kept.items() if name == DATABASE or name not in names}
    home.save(folder.absolute(), evolve(home.load(folder.absolute()), passwords=others))
