"""What the environment says. One class is the source of the loader, the documentation table and ``.env.example``."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from attrs import Factory, asdict, evolve, field, fields, frozen

from orchestrator import urls
from orchestrator.errors import SettingsError
from orchestrator.ports import PullPolicy
from orchestrator.settings import parsers as text
from orchestrator.task.fields import kinds_of
from orchestrator.task.limits import Limits, about_limits, ceilings
from orchestrator.task.request import Rules
from orchestrator.task.validation import shown

T = TypeVar("T")
IN_FILE = "_FILE"
"""What is put behind the name of a secret to name a file that has it."""
_LONGEST_SECRET = 64 << 10


def _setting(default: T, parse: Callable[[str], T], help_: str, *, secret: bool = False, path: bool = False) -> T:
    """One setting: the environment variable is the field's name in capitals."""
    metadata = {"parse": parse, "help": help_, "secret": secret, "path": path}
    return field(default=default, repr=not secret, kw_only=True, metadata=metadata)


def _spool() -> Path:
    """Where no other user may write, and what is there survives a restart."""
    state = Path("/var/lib")
    if os.geteuid() != 0:
        given = Path(os.environ.get("XDG_STATE_HOME", ""))
        with suppress(RuntimeError):  # a user without a home
            state = given if given.is_absolute() else Path("~/.local/state").expanduser()
    return state / "orchestrator" / "spool"


@frozen
class Settings:
    """All settings, from environment variables named as the fields are, in capitals."""

    mongo_uri: str = _setting("mongodb://localhost:27017", urls.mongo, "MongoDB server; may hold a password", secret=True)
    mongo_db_name: str = _setting("taskrunner", text.database, "database of the collection `tasks`")
    redis_url: str = _setting(
        "redis://localhost:6379", urls.redis, "Redis server for queue and events; may hold a password", secret=True
    )
    docker_host: str = _setting(
        "unix://var/run/docker.sock",
        text.docker_host,
        "Docker engine, over unix:// or tcp://; unix://var/run/… and unix:///var/run/… are the same",
    )
    minio_endpoint: str = _setting("localhost:9000", text.endpoint, "S3 server, host:port")
    minio_access_key: str = _setting("minioadmin", text.KEY, "S3 access key", secret=True)
    minio_secret_key: str = _setting("minioadmin", text.word, "S3 secret key", secret=True)
    minio_bucket: str = _setting("task-logs", text.BUCKET, "bucket for logs; made when missing")
    minio_use_ssl: bool = _setting(False, text.flag, "whether the S3 server speaks TLS")
    minio_region: str = _setting("us-east-1", text.REGION, "S3 region")
    queue: str = _setting("default", text.word, "RQ queue that all tasks of the database wait in")
    concurrency: int = _setting(4, text.COUNT, "tasks at once in one worker")
    adopted_max: int = _setting(
        32, text.COUNT, "tasks of dead workers that one worker goes on with at once, beside its own CONCURRENCY"
    )
    worker_name: str = _setting("", text.plain, "name of the worker in documents and labels; empty: host name and process id")
    cpu_overcommit: float = _setting(
        4.0, text.FACTOR, "CPUs that the tasks of a worker may be granted together, in units of the CPUs of the engine's host"
    )
    memory_budget: int = _setting(
        0, text.BUDGET, "memory that the tasks of a worker may be granted together; 0: all of the engine's host"
    )
    spool_dir: Path = _setting(
        Factory(_spool),
        text.path,
        "folder for output until it is uploaded, of the worker's user alone; unset: /var/lib/orchestrator/spool for root, "
        "orchestrator/spool in $XDG_STATE_HOME or ~/.local/state for others",
        path=True,
    )
    label_indexes: tuple[str, ...] = _setting(
        (),
        text.label_names,
        "names of labels by which lists are quick however few tasks have them, such as team run; each costs an index",
    )
    live_output: int = _setting(
        1 << 20, text.BUDGET, "bytes of each stream that can be followed while a program runs; 0: output is seen at its end"
    )
    pull_policy: PullPolicy = _setting(PullPolicy.MISSING, text.policy, "when to pull images: missing, always or never")
    pull_timeout: float = _setting(300.0, text.SECONDS, "seconds that a task may pull its image, however often it is tried")
    pull_max: int = _setting(10 << 30, text.SIZE, "most bytes of layers that the pull of an image may transfer")
    image_ttl: float = _setting(
        0.0,
        text.SECONDS_OR_NONE,
        "seconds after which an image that a worker has pulled is removed if no task uses it; 0: never",
    )
    registries_allowed: tuple[str, ...] = _setting(
        (),
        text.words,
        "patterns of registries that may be asked for images, host[:port], such as docker.io *.example:5000; empty: any but "
        "those with loopback, link-local or metadata addresses",
    )
    images_allowed: tuple[str, ...] = _setting(
        (), text.words, "patterns of images that tasks may run, such as python:3.* registry.example/team/*; empty: any"
    )
    runtime: str = _setting(
        "", text.RUNTIME, "what the engine runs tasks with that name no runtime, such as runsc; empty: its default"
    )
    runtimes_allowed: tuple[str, ...] = _setting((), text.words, "further runtimes that tasks may choose")
    warm: tuple[tuple[str, int], ...] = _setting(
        (),
        text.warm,
        "images, and how many containers of each are started ahead for tasks with the default limits, such as "
        "python:3.12=4 busybox=2; empty: none",
    )
    network_allowed: bool = _setting(False, text.flag, "whether tasks may ask for a network")
    root_allowed: bool = _setting(False, text.flag, "whether tasks may ask to run as uid or gid 0")
    default_user: str = _setting("65534:65534", text.USER, "uid:gid of tasks that name no user")
    files_max: int = _setting(4 << 20, text.SIZE, "most bytes in a task's files together")
    artifact_files: int = _setting(
        256, text.artifact_files, "most files that are kept as a task's artifacts, and most paths it may name; at most 20000"
    )
    max_retries: int = _setting(10, text.COUNT, "most retries that a task may ask for")
    max_attempts: int = _setting(3, text.COUNT, "attempts at a task whose container the infrastructure broke")
    stop_grace: float = _setting(2.0, text.SECONDS, "seconds between TERM and KILL when a task has to end")
    lease_ttl: float = _setting(10.0, text.lease, "seconds a worker's claim on a task lasts unless it is renewed")
    sweep_interval: float = _setting(3.0, text.SECONDS, "seconds between looks for what is lost or left behind")
    orphan_grace: float = _setting(30.0, text.SECONDS, "seconds that a container or spool without a task is left alone")
    engine_patience: float = _setting(
        600.0, text.SECONDS, "seconds after which a task whose engine has no worker is tried on another"
    )
    result_ttl: float = _setting(
        600.0, text.SECONDS_OR_NONE, "seconds that RQ keeps the job and the result of a task that has ended; 0: not at all"
    )
    drain_timeout: float = _setting(
        3600.0, text.SECONDS, "seconds that a worker told to stop waits for its tasks before handing over"
    )
    health_host: str = _setting(
        "127.0.0.1", text.host, "address that /healthz and /readyz are answered on; 0.0.0.0: all, as for a probe from outside"
    )
    health_port: int = _setting(0, text.port, "port for /healthz, /readyz and /metrics; 0: none")
    retry_budget: float = _setting(
        60.0, text.SECONDS, "seconds of retrying a service that is away before the attempt is given up"
    )
    upload_budget: float = _setting(
        900.0, text.SECONDS, "seconds of retrying an object store that is away before the log is given up"
    )
    spool_grace: float = _setting(
        86400.0,
        text.SECONDS_OR_NONE,
        "seconds that a log which could not be stored is left in the spool, from when that was made; 0: no longer than others",
    )
    keep_tasks: float = _setting(
        2592000.0, text.SECONDS_OR_NONE, "seconds after its end that a task is kept with all that it has; 0: for ever"
    )
    keep_logs: float = _setting(
        604800.0, text.SECONDS_OR_NONE, "seconds after its end that a task's logs are kept; 0: as long as the task"
    )
    keep_artifacts: float = _setting(
        604800.0, text.SECONDS_OR_NONE, "seconds after its end that a task's artifacts are kept; 0: as long as the task"
    )
    keep_max: float = _setting(
        0.0, text.SECONDS_OR_NONE, "most seconds that a task may ask to be kept, with its field `keep`; 0: any, also for ever"
    )
    api_host: str = _setting(
        "127.0.0.1", text.host, "address that the HTTP API is served on; another one than loopback needs API_TOKENS"
    )
    api_port: int = _setting(8080, text.port, "port of the HTTP API; 0: any free one")
    api_tokens: str = _setting(
        "",
        text.plain,
        "file with a line for each token of the HTTP API, as `orchestrator token` prints it; empty: no tokens",
        path=True,
    )
    api_body_max: int = _setting(16 << 20, text.SIZE, "most bytes in the body of a request to the HTTP API")
    api_connections: int = _setting(1000, text.COUNT, "connections to the HTTP API at once; further ones are answered with 503")
    api_tls_cert: str = _setting(
        "", text.plain, "file with the certificate of the HTTP API, its chain behind it; empty: no TLS", path=True
    )
    api_tls_key: str = _setting("", text.plain, "file with the key of that certificate", path=True)
    orchestrator_url: str = _setting(
        "", text.plain, "HTTP API that clients use in place of the servers, such as https://tasks.example; empty: none"
    )
    orchestrator_token: str = _setting("", text.plain, "token for that", secret=True)
    max_queued: int = _setting(
        0, text.COUNT_OR_NONE, "tasks in line from which on the HTTP API takes no more and answers 429; 0: any number"
    )
    defaults: Limits = field(factory=Limits, kw_only=True)
    """Of a task that names none: DEFAULT_… for each limit."""
    ceilings: Limits = field(factory=ceilings, kw_only=True)
    """The most that a task may ask for: MAX_… for each limit."""

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the environment; empty variables count as unset, and a secret may be in a file that NAME_FILE names.

        Raises SettingsError that names every bad value at once.
        """
        values: dict[str, object] = {}
        problems = []
        for option in options():
            try:
                if text := _written(option, environment):
                    values[option.name] = option.read(text)
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("\n".join(problems))
        loaded = cls._of(values)
        if conflicts := [*_unheard(environment, loaded.docker_host), *loaded.conflicts()]:
            raise SettingsError("\n".join(conflicts))
        return loaded

    @classmethod
    def _of(cls, values: Mapping[str, object]) -> Self:
        """From the values that were given, by the names of the options."""
        bare = cls()
        own: dict[str, Any] = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        for group, prefix in _GROUPS.items():
            limits = {name: values[f"{prefix}_{name}"] for name in about_limits() if f"{prefix}_{name}" in values}
            own[group] = evolve(getattr(bare, group), **limits)
        return cls(**own)

    def conflicts(self) -> list[str]:
        """Settings that are good each by itself, but under which no task could run that leaves the field out."""
        defaults, ceilings = asdict(self.defaults), asdict(self.ceilings)
        said = [
            f"DEFAULT_{name.upper()}: {default} is above MAX_{name.upper()}, which is {ceilings[name]}"
            for name, default in defaults.items()
            if ceilings[name] is not None and default is not None and default > ceilings[name]
        ]
        memory = self.defaults.memory
        if 0 < self.memory_budget < memory:
            said.append(f"DEFAULT_MEMORY: {memory} is above MEMORY_BUDGET, which is {self.memory_budget}")
        if not self.root_allowed and 0 in map(int, self.default_user.split(":")):
            said.append(f"DEFAULT_USER: {self.default_user!r} is root, and ROOT_ALLOWED is false")
        return said

    @property
    def rules(self) -> Rules:
        """What tasks are granted."""
        return Rules(
            defaults=self.defaults,
            ceilings=self.ceilings,
            network_allowed=self.network_allowed,
            root_allowed=self.root_allowed,
            retries_max=self.max_retries,
            keep_max=self.keep_max,
            files_max=self.files_max,
            artifact_files=self.artifact_files,
            images=self.images_allowed,
            runtimes=(*filter(None, [self.runtime]), *self.runtimes_allowed),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may show: URLs that may hold a password, a password, and a token.

        Not the access key: it is a name, and one that is an ordinary word would tear holes into every line.
        """
        return self.mongo_uri, self.redis_url, self.minio_secret_key, self.orchestrator_token

    @property
    def name(self) -> str:
        """The worker's name: WORKER_NAME, or one made from host and process."""
        return self.worker_name or f"{socket.gethostname()}-{os.getpid()}"


_GROUPS = {"defaults": "default", "ceilings": "max"}
"""The fields of Settings that have a value for each limit, and how the names of their options begin."""


@frozen
class Option:
    """One setting."""

    name: str
    default: object
    """A Factory where it depends on the host."""
    parse: Callable[[str], object]
    """Raises ValueError that says what the text has to be."""
    help: str
    secret: bool = False
    path: bool = False

    def read(self, text: str) -> object:
        """The value that a text stands for. Raises SettingsError: the variable, what was given, what is allowed."""
        try:
            return self.parse(text)
        except ValueError as error:
            hidden = self.secret or "@" in text
            given = "the given value" if hidden else shown(text)
            raise SettingsError(f"{variable(self)}: {given} is not {error}") from None


def options() -> tuple[Option, ...]:
    """All settings, in the order of the reference."""
    return (*_own_options(), *_limit_options("default"), *_limit_options("max"))


def given_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables with settings and with files of secrets. Paths are absolute, so all mean the same in another folder."""
    found: dict[str, str] = {}
    for option in options():
        name = variable(option)
        if value := variables.get(name):
            found[name] = str(Path(value).absolute()) if option.path else value
        if option.secret and (file := variables.get(f"{name}{IN_FILE}")):
            found[f"{name}{IN_FILE}"] = str(Path(file).absolute())
    return found


def variable(option: Option) -> str:
    """The environment variable of a setting."""
    return option.name.upper()


def _own_options() -> Iterator[Option]:
    for setting in fields(Settings):
        if setting.name not in _GROUPS:
            yield Option(setting.name, setting.default, **setting.metadata)


def _limit_options(prefix: str) -> Iterator[Option]:
    """A default and a ceiling for each limit, unless a task may do without one."""
    kinds, defaults = kinds_of(Limits), asdict(Limits())
    for name, about in about_limits().items():
        if about.ceiling is None:
            continue
        if prefix == "default":
            default, meaning = defaults[name], f"{about.default_is} of a task that names none"
        else:
            default, meaning = about.ceiling, f"{about.ceiling_is} that a task may ask for"
        yield Option(f"{prefix}_{name}", default, kinds[name].from_text, meaning)


def _written(option: Option, environment: Mapping[str, str]) -> str:
    """The text of the variable, or of a secret's file its first line. Raises SettingsError."""
    name, written = variable(option), environment.get(variable(option), "")
    path = environment.get(f"{name}{IN_FILE}", "") if option.secret else ""
    if not path:
        return written
    if written:
        raise SettingsError(f"{name}, {name}{IN_FILE}: both are set; set one of them")
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.readline(_LONGEST_SECRET).rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name}{IN_FILE}: {path} cannot be read: {reason}") from None


def _unheard(environment: Mapping[str, str], docker_host: str) -> Iterator[str]:
    """What Docker's own client heeds and this one does not: unsaid, the engine is another one, or is reached in clear."""
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        if environment.get(name) and not docker_host.startswith("unix:"):
            yield f"{name}: TLS to the engine is not spoken; unset it, and reach the engine over a tunnel to its socket"
    context = environment.get("DOCKER_CONTEXT", "")
    if context not in {"", "default"} and not environment.get("DOCKER_HOST"):
        yield f"DOCKER_CONTEXT: {shown(context)} is not read; set DOCKER_HOST to the address of the context's engine"
