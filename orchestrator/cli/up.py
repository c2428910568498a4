"""The `up` command: the servers that are missing and a worker beside them, from one folder, until told to stop."""

import secrets
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import click
from redis import RedisError
from rq import Worker

from orchestrator import private_files as private
from orchestrator.adapters.redis.client import redis_client
from orchestrator.cli import up_server
from orchestrator.cli.down import APART, READY, noted, start_detached
from orchestrator.cli.page import examples
from orchestrator.cli.signals import STOP, Inbox, interrupt_on_stop
from orchestrator.cli.terminal import say
from orchestrator.cli.variables_here import variables_of_the_user
from orchestrator.doctor import engine
from orchestrator.embedded import PATIENCE, Embedded, absent, renew_passwords
from orchestrator.embedded.process import Process, Server
from orchestrator.errors import InfrastructureError
from orchestrator.folder_lock import hold, is_held
from orchestrator.release import how_to_install
from orchestrator.settings.environment import DATA, FILE, merged, published
from orchestrator.settings.settings import Settings, given_settings
from orchestrator.urls import place
from orchestrator.wiring import check

_GRACE = 10.0
_HURRY = 5.0
_SHOWN = 20
_WORKER = "worker"
_RESTARTS = 3
_RESTARTS_WITHIN = 600.0
"""So often within so many seconds a server that ended by itself is started again. Its data are in its folder."""
_UNSERVED = f"API      is not served: {how_to_install('server')}"


@click.command(
    "up",
    epilog=examples(
        "orchestrator up --concurrency 8",
        "orchestrator up --data /srv/orchestrator",
    ),
)
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=DATA, show_default=True, help="Folder for data."
)
@click.option("--concurrency", type=click.IntRange(1, 1000), metavar="N", help="Tasks at once. Default: CONCURRENCY, or 4.")
@click.option("--detach", "-d", is_flag=True, help="Return when all is ready, and run on in the background until `down`.")
@click.option("--new-passwords", is_flag=True, help="Give the servers other passwords first.")
def up_command(data: Path, concurrency: int | None, *, detach: bool, new_passwords: bool) -> None:
    """Start the servers that are missing and a worker; Ctrl-C stops them.

    Of MongoDB, Redis and S3, those whose variable (MONGO_URI, REDIS_URL, MINIO_ENDPOINT) is not set are run from Python
    packages: on loopback, with passwords of their own, their data in one folder. Client commands in the current folder or
    below it find them.
    """
    own = variables_of_the_user()
    check(Settings.load(own))
    context = click.get_current_context()
    if detach and (data / FILE).exists() and is_held(data):
        say(f"runs in {data} already")
        return
    _refuse_a_second(data)
    if detach:
        context.exit(start_detached(data, _again(context)))
    interrupt_on_stop()
    if new_passwords:
        renew_passwords(data, absent(own))
    with Embedded(data, absent(own)) as servers:
        variables = _variables(data, own, servers.environment, concurrency)
        whole = merged(own, variables)
        served = up_server.api(data, whole)
        told = merged(variables, served.variables if served else {})
        with published(data / FILE, told), noted(data), hold(data / _WORKER) as lock:
            ours = [_worker(whole), *([served.server] if served else [])]
            processes = {each.name: Process(each, data.absolute() / each.name, lock) for each in ours}
            code = _mind({**servers.processes, **processes}, data, variables, served)
    context.exit(code)


def _again(context: click.Context) -> list[str]:
    """The arguments of this command without --detach."""
    given = context.params
    arguments = ["--no-env-file"] if context.find_root().params.get("no_env_file") else []
    arguments += ["up", "--data", str(given["data"])]
    if given["concurrency"]:
        arguments += ["--concurrency", str(given["concurrency"])]
    return [*arguments, "--new-passwords"] if given["new_passwords"] else arguments


def _refuse_a_second(data: Path) -> None:
    try:
        with hold(data):
            pass
    except InfrastructureError:
        raise InfrastructureError(
            "up", f"another one runs in {data}; use that, stop it, or name another folder with --data"
        ) from None


def _variables(data: Path, own: Mapping[str, str], servers: Mapping[str, str], concurrency: int | None) -> dict[str, str]:
    """What clients and the worker have to know: each setting that was given, and where the servers are."""
    theirs = {name: value for name, value in given_settings(own).items() if name != "WORKER_NAME"}
    ours = {} if "SPOOL_DIR" in theirs else _spool(data.absolute() / _WORKER / "spool")
    return merged({**ours, **theirs}, {**servers, **({"CONCURRENCY": str(concurrency)} if concurrency else {})})


def _spool(folder: Path) -> dict[str, str]:
    """Beside the other data, unless another user could change it there, as in the home of who calls sudo: then its default."""
    try:
        with suppress(FileNotFoundError), private.held(folder.parent):
            pass
    except private.Unsafe:
        return {}
    return {"SPOOL_DIR": str(folder)}


def _worker(variables: Mapping[str, str]) -> Server:
    """The worker as one more server: it is ready when RQ knows it."""
    name = f"up-{secrets.token_hex(4)}"
    redis = redis_client(Settings.load(variables))

    def ready() -> bool:
        try:
            return any(name in key for key in Worker.all_keys(redis))
        except RedisError:
            return False

    argv = (sys.executable, "-m", "orchestrator", "--no-env-file", "worker", "--name", name)
    return Server(_WORKER, argv, ready, env=variables)


def _mind(processes: Mapping[str, Process], data: Path, variables: Mapping[str, str], served: up_server.Api | None) -> int:
    """Start the worker and the API and stay until told to stop, or until one of them ends by itself; the exit code.

    The servers are started again when they crash: tasks that run meanwhile wait for them.
    """
    worker = processes[_WORKER]
    ours = [worker, *([processes[up_server.NAME]] if served else [])]
    try:
        for process in ours:
            process.start()
        for process in ours:
            process.await_ready(PATIENCE)
        for line in _greeting(data, Settings.load(variables), processes, served):
            say(line)
        inbox = Inbox()
        crashes: deque[float] = deque(maxlen=_RESTARTS)
        while True:
            for name in [name for name, process in processes.items() if process.pid is None]:
                if processes[name] in ours or (len(crashes) == _RESTARTS and time.monotonic() - crashes[0] < _RESTARTS_WITHIN):
                    _mourn(name, data, "so everything stops")
                    return 1
                _mourn(name, data, "and is started again")
                crashes.append(time.monotonic())
                processes[name].start_again()
                say(f"{name} is process {processes[name].pid} now", err=True)
            if inbox.next() in STOP:
                return _drain(worker, inbox)
    finally:
        for process in reversed(ours):
            process.stop(_GRACE)


def _drain(worker: Process, inbox: Inbox) -> int:
    """Let what runs end; asked again, have the worker hand it over to the next one."""
    say("Stopping as soon as the running tasks have ended; Ctrl-C again leaves them to the next start.")
    worker.ask_to_stop()
    asked_at = time.monotonic()
    while worker.pid is not None:
        if inbox.next() in STOP:
            time.sleep(max(asked_at + APART - time.monotonic(), 0))
            worker.stop(_HURRY)
    return 0


def _greeting(data: Path, settings: Settings, processes: Mapping[str, Process], served: up_server.Api | None) -> Iterator[str]:
    servers = {
        "MongoDB": (place(settings.mongo_uri), "secantusdb"),
        "Redis": (place(settings.redis_url), "valkey"),
        "S3": (settings.minio_endpoint, "seaweedfs"),
    }
    for name, (where, server) in servers.items():
        yield f"{name:<8} {where}, {f'{server} {processes[server].pid}' if server in processes else 'as set'}"
    docker = next(engine.check(settings))
    yield (
        f"Docker   {docker.found}"
        if docker.ok
        else f"Docker   does not answer, tasks will fail: {docker.found}. To do: {docker.advice}"
    )
    yield f"API      {served.url}, described at /docs" if served else _UNSERVED
    yield f"worker   {settings.concurrency} tasks at once, log in {data / 'worker.log'}"
    through = "" if data == DATA else f"orchestrator exec --data {shlex.quote(str(data))} -- "
    yield f"submit   {through}orchestrator run IMAGE COMMAND…"
    if served:
        yield f"page     {served.page}"
    yield "stop     Ctrl-C"
    yield READY


def _mourn(name: str, data: Path, then: str) -> None:
    log = data / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-_SHOWN:]
    say(f"{name} ended by itself, {then}. The end of {log}:", err=True)
    for line in lines:
        say(f"  {line}", err=True)
