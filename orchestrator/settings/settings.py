"""What the environment says. One class is the source of the loader, the documentation table and ``.env.example``."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import cattrs
from attrs import Attribute, Factory, field, fields, frozen
from cattrs.gen import make_dict_structure_fn, override

from orchestrator import urls
from orchestrator.errors import SettingsError
from orchestrator.ports import PullPolicy
from orchestrator.settings import parsers as text
from orchestrator.task.request import Limits, Rules
from orchestrator.task.units import parse_duration, parse_size
from orchestrator.task.validation import shown

T = TypeVar("T")
IN_FILE = "_FILE"
"""What is put behind the name of a secret to name a file that has it."""
_LONGEST_SECRET = 64 << 10


def _setting(default: T, parse: Callable[[str], T], help_: str, *, secret: bool = False) -> T:
    """One setting: the environment variable is the field's name in capitals."""
    metadata = {"parse": parse, "help": help_, "secret": secret}
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
        "", text.runtime, "what the engine runs tasks with that name no runtime, such as runsc; empty: its default"
    )
    runtimes_allowed: tuple[str, ...] = _setting((), text.words, "further runtimes that tasks may choose")
    network_allowed: bool = _setting(False, text.flag, "whether tasks may ask for a network")
    root_allowed: bool = _setting(False, text.flag, "whether tasks may ask to run as uid or gid 0")
    default_user: str = _setting("65534:65534", text.user, "uid:gid of tasks that name no user")
    files_max: int = _setting(4 << 20, text.SIZE, "most bytes in a task's files together")
    artifact_files: int = _setting(
        256, text.COUNT, "most files that are kept as a task's artifacts, and most paths it may name"
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
    health_port: int = _setting(0, text.port, "port for /healthz and /readyz; 0: none")
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
    default_cpus: float = _setting(1.0, text.limit("cpus", float), "CPUs of a task that names none")
    default_memory: int = _setting(256 << 20, text.limit("memory", parse_size), "memory of a task that names none")
    default_pids: int = _setting(128, text.limit("pids", int), "processes and threads of a task that names none")
    default_timeout: float = _setting(60.0, text.limit("timeout", parse_duration), "wall time of a task that names none")
    default_output: int = _setting(
        10 << 20, text.limit("output", parse_size), "bytes kept of each stream for a task that names none"
    )
    default_tmp: int = _setting(64 << 20, text.limit("tmp", parse_size), "size of /tmp of a task that names none")
    default_shm: int = _setting(64 << 20, text.limit("shm", parse_size), "size of /dev/shm of a task that names none")
    default_artifacts: int = _setting(64 << 20, text.limit("artifacts", parse_size), "size of /out of a task that names none")
    max_cpus: float = _setting(64.0, text.limit("cpus", float), "most CPUs that a task may ask for")
    max_memory: int = _setting(4 << 30, text.limit("memory", parse_size), "most memory that a task may ask for")
    max_pids: int = _setting(4096, text.limit("pids", int), "most processes and threads that a task may ask for")
    max_timeout: float = _setting(3600.0, text.limit("timeout", parse_duration), "longest wall time that a task may ask for")
    max_output: int = _setting(100 << 20, text.limit("output", parse_size), "most bytes of each stream that a task may ask for")
    max_tmp: int = _setting(1 << 30, text.limit("tmp", parse_size), "largest /tmp that a task may ask for")
    max_shm: int = _setting(1 << 30, text.limit("shm", parse_size), "largest /dev/shm that a task may ask for")
    max_artifacts: int = _setting(1 << 30, text.limit("artifacts", parse_size), "largest /out that a task may ask for")

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the environment; empty variables count as unset, and a secret may be in a file that NAME_FILE names.

        Raises SettingsError that names every bad value at once.
        """
        given, unread = _given(environment)
        converter = cattrs.Converter()
        hooks = {option.name: override(struct_hook=_hook(option)) for option in options()}
        try:
            loaded = make_dict_structure_fn(cls, converter, **hooks)(given, cls)  # type: ignore[arg-type]
        except cattrs.BaseValidationError as error:
            lines = cattrs.transform_error(error, path="", format_exception=lambda reason, _: str(reason))
            raise SettingsError("\n".join([*unread, *(line.rpartition(" @ ")[0] for line in lines)])) from None
        if unread:
            raise SettingsError("\n".join(unread))
        if conflicts := [*_unheard(environment, loaded.docker_host), *loaded.conflicts()]:
            raise SettingsError("\n".join(conflicts))
        return loaded

    def conflicts(self) -> list[str]:
        """Settings that are good each by itself, but under which no task could run that leaves the field out."""
        above = [
            f"DEFAULT_{limit.name.upper()}: {default} is above MAX_{limit.name.upper()}, which is {most}"
            for limit in fields(Limits)
            if (default := getattr(self, f"default_{limit.name}", 0)) > (most := getattr(self, f"max_{limit.name}", 0))
        ]
        rooted = not self.root_allowed and 0 in map(int, self.default_user.split(":"))
        short = 0 < self.memory_budget < self.default_memory
        above += [f"DEFAULT_MEMORY: {self.default_memory} is above MEMORY_BUDGET, which is {self.memory_budget}"] * short
        return above + [f"DEFAULT_USER: {self.default_user!r} is root, and ROOT_ALLOWED is false"] * rooted

    @property
    def rules(self) -> Rules:
        """What tasks are granted."""
        return Rules(
            defaults=self._limits("default"),
            ceilings=self._limits("max"),
            network_allowed=self.network_allowed,
            root_allowed=self.root_allowed,
            retries_max=self.max_retries,
            files_max=self.files_max,
            artifact_files=self.artifact_files,
            images=self.images_allowed,
            runtimes=(*filter(None, [self.runtime]), *self.runtimes_allowed),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may show: URLs that may hold a password, and a password.

        Not the access key: it is a name, and one that is an ordinary word would tear holes into every line.
        """
        return self.mongo_uri, self.redis_url, self.minio_secret_key

    @property
    def name(self) -> str:
        """The worker's name: WORKER_NAME, or one made from host and process."""
        return self.worker_name or f"{socket.gethostname()}-{os.getpid()}"

    def _limits(self, prefix: str) -> Limits:
        given: dict[str, Any] = {limit.name: getattr(self, f"{prefix}_{limit.name}", limit.default) for limit in fields(Limits)}
        return Limits(**given)


def options() -> "tuple[Attribute[Any], ...]":
    """The settings as attrs fields: ``metadata`` holds parse, help and secret."""
    return fields(Settings)


def variable(option: "Attribute[Any]") -> str:
    """The environment variable of a setting."""
    return option.name.upper()


def _given(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What each setting is given as, by its name in Settings, and what is wrong with files that should have it."""
    given, unread = {}, []
    for option in options():
        try:
            given[option.name] = _written(option, environment)
        except SettingsError as error:
            unread.append(str(error))
    return {name: written for name, written in given.items() if written}, unread


def _written(option: "Attribute[Any]", environment: Mapping[str, str]) -> str:
    """The text of the variable, or of a secret's file its first line. Raises SettingsError."""
    name, written = variable(option), environment.get(variable(option), "")
    path = environment.get(f"{name}{IN_FILE}", "") if option.metadata["secret"] else ""
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


def _hook(option: "Attribute[Any]") -> Callable[[str, object], object]:
    def parse(text: str, _: object) -> object:
        try:
            return option.metadata["parse"](text)
        except ValueError as error:
            hidden = option.metadata["secret"] or "@" in text
            given = "the given value" if hidden else shown(text)
            raise ValueError(f"{variable(option)}: {given} is not {error}") from None

    return parse
