"""Checks the Docker engine: whether it answers, can hold a task to its limits, and runs one."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import docker
from docker.errors import DockerException
from requests import RequestException

from orchestrator.adapters.docker_engine import DockerEngine
from orchestrator.cli.checks.finding import Finding, Unfit, at_least, clock, look
from orchestrator.errors import ImageUnavailable
from orchestrator.labels import TASK
from orchestrator.ports import ContainerPlan, Engine, Phase, PullPolicy
from orchestrator.quantity import format_size
from orchestrator.settings import Settings

IMAGE = "orchestrator-busybox:1"
OLDEST_API = (1, 41)
_FAILURES = (DockerException, RequestException)
_PATIENCE = 10
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "process"}
Info = Mapping[str, Any]


def check(settings: Settings, image: str | None = None) -> Iterator[Finding]:
    """Look at the engine, and run a container of ``image``; without one, of ``IMAGE`` where the engine has it."""
    where = settings.docker_host
    advice = f"start Docker, or set DOCKER_HOST; let this user use the socket: usermod -aG docker, or run as root ({where})"
    answers: list[Info] = []
    reached = look("Docker engine", advice, lambda: _version(where, answers), *_FAILURES)
    yield reached
    if not reached.ok:
        return
    info = answers[0]
    yield look(
        "engine limits", "boot with cgroup_enable=memory swapaccount=1, or use a host with cgroup v2", lambda: _limits(info)
    )
    yield look("isolation", "use the engine with runc, docker-init and its default seccomp profile", lambda: _isolation(info))
    yield look("room", "lower DEFAULT_CPUS and DEFAULT_MEMORY, or CONCURRENCY", lambda: _room(info, settings))
    yield clock("Docker", lambda: datetime.fromisoformat(_ask(where)["SystemTime"]), *_FAILURES)
    advice = f"name an image that the engine has with --image; see what this says: docker run --rm --init {image or IMAGE} true"
    yield look("container", advice, lambda: _probe(settings, image))


def _ask(where: str) -> Info:
    client = docker.DockerClient(base_url=where, timeout=_PATIENCE)
    try:
        return {**client.info(), **client.version()}
    finally:
        client.close()


def _version(where: str, answers: list[Info]) -> str:
    info = _ask(where)
    answers.append(info)
    return f"{info['Version']}, API {at_least(info['ApiVersion'], OLDEST_API)}, cgroup v{info.get('CgroupVersion', '1')}"


def _limits(info: Info) -> str:
    missing = [name for key, name in _LIMITS.items() if not info.get(key)]
    if info.get("CgroupVersion") != "2" and not info.get("SwapLimit"):
        missing.append("swap")
    if missing:
        raise Unfit(f"the engine cannot keep a {', '.join(missing)} limit")
    return "memory, swap, CPU, processes"


def _isolation(info: Info) -> str:
    parts = {"runc": "runc" in info.get("Runtimes", {}), "docker-init": bool(info.get("InitBinary"))}
    parts["seccomp"] = any(option.startswith("name=seccomp") for option in info.get("SecurityOptions") or ())
    if not all(parts.values()):
        raise Unfit(f"missing: {', '.join(name for name, there in parts.items() if not there)}")
    return ", ".join(parts)


def _room(info: Info, settings: Settings) -> str:
    """The engine refuses more CPUs than it has; memory is not reserved, so it must do for all tasks at once."""
    needed = settings.concurrency * settings.default_memory
    found = f"{info['NCPU']} CPUs, {format_size(info['MemTotal'])}; {settings.concurrency} tasks may use {format_size(needed)}"
    if settings.default_cpus > info["NCPU"] or needed > info["MemTotal"]:
        raise Unfit(f"{found} and {settings.default_cpus:g} CPUs each")
    return found


def _probe(settings: Settings, image: str | None) -> str:
    engine = DockerEngine(settings.docker_host)
    try:
        engine.pull(image or IMAGE, PullPolicy.NEVER)
    except ImageUnavailable:
        if image:
            raise
        return f"not tried: the engine has no {IMAGE}; name another image with --image"
    return _run(engine, image or IMAGE, settings)


def _run(engine: Engine, image: str, settings: Settings) -> str:
    """Run `true` as a task would run it. Raises Unfit, TaskFailure, InfrastructureError."""
    name = f"orchestrator-doctor-{uuid.uuid4().hex[:8]}"
    plan = ContainerPlan(
        name=name,
        image=image,
        command=("true",),
        env={},
        working_dir=None,
        user=settings.default_user,
        network=False,
        stdin=None,
        files={},
        limits=settings.rules.defaults,
        labels={TASK: name},
    )
    try:
        engine.create(plan)
        engine.start(name)
        state = engine.wait(name, _PATIENCE)
    finally:
        engine.remove(name)
    if state.phase is not Phase.EXITED or state.exit_code:
        raise Unfit(f"`true` in {image} ended with {state.exit_code} {state.error}".rstrip())
    return f"ran `true` in {image} in {state.ran_for:.2f} s"
