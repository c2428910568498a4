"""Checks the Docker engine: whether it answers, can hold a task to its limits, and runs one."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any

import docker
from docker.errors import DockerException
from requests import RequestException

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.doctor import isolation
from orchestrator.doctor.finding import Finding, Unfit, at_least, clock, look, reason
from orchestrator.errors import ImageUnavailable, InfrastructureError
from orchestrator.execution.admission import Capacity, Share
from orchestrator.ports import Engine, PullPolicy
from orchestrator.settings.settings import Settings
from orchestrator.task.units import format_size

IMAGE = "orchestrator-busybox:1"
OLDEST_API = (1, 41)
_FAILURES = (DockerException, RequestException)
_PATIENCE = 60
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "process"}
Info = Mapping[str, Any]


def check(settings: Settings, image: str | None = None) -> Iterator[Finding]:
    """Check the engine, and run a container of ``image``; without it, of ``IMAGE`` if the engine has this image."""
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
    yield look(
        "room",
        "lower DEFAULT_CPUS or DEFAULT_MEMORY, or raise MEMORY_BUDGET",
        lambda: _room(info, settings),
    )
    yield look("containers", "start Docker", lambda: _containers(where), InfrastructureError)
    yield clock("Docker", lambda: datetime.fromisoformat(_ask(where)["SystemTime"]), *_FAILURES)
    yield look(
        "runtimes",
        "add them to the engine's daemon.json, or change RUNTIME and RUNTIMES_ALLOWED",
        lambda: _runtimes(info, settings),
    )
    yield from _probes(settings, image)


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
    """The number of tasks without limits that may run at once; others wait. Raises InvalidTask if not even one may."""
    default = Share(settings.defaults.cpus, settings.defaults.memory)
    capacity = Capacity.of(Share(info["NCPU"], info["MemTotal"]), settings.cpu_overcommit, settings.memory_budget)
    capacity.check(default)
    fit = min(capacity.budget.cpus // default.cpus, capacity.budget.memory // default.memory)
    return f"{info['NCPU']} CPUs, {format_size(info['MemTotal'])}: room for {fit:.0f} tasks that name no limits"


def _probes(settings: Settings, image: str | None) -> Iterator[Finding]:
    """The findings of containers from inside. If there is no image for them: one finding, which is not ok."""
    engine = DockerEngine(settings.docker_host)
    advice = f"name an image that the engine has with --image, or get one: docker pull {image or IMAGE}"
    there = look("image", advice, lambda: _image(engine, image))
    yield there
    if there.ok:
        yield from isolation.check(engine, image or IMAGE, settings, partial(described, settings.docker_host))
        if together := engine.limits_on_all():
            yield Finding("all tasks", True, together)


def described(where: str, container: str) -> Info:
    """The engine's own description of how it keeps a container: its HostConfig. Raises Unfit."""
    client = docker.DockerClient(base_url=where, timeout=_PATIENCE)
    try:
        found: Info = client.api.inspect_container(container)["HostConfig"]
    except _FAILURES as error:
        raise Unfit(reason(error)) from error
    else:
        return found
    finally:
        client.close()


def _containers(where: str) -> str:
    """The deployments that have containers here. If the database of one is lost, the operator has to remove its containers."""
    with closing(DockerEngine(where)) as engine:
        found = engine.deployments()
    return ", ".join(f"{count} of deployment {each}" for each, count in sorted(found.items())) or "none of any deployment"


def _image(engine: Engine, image: str | None) -> str:
    try:
        engine.pull(image or IMAGE, PullPolicy.NEVER)
    except ImageUnavailable:
        if image:
            raise
        raise Unfit(f"no container is tried, so nothing of the isolation is shown: the engine has no {IMAGE}") from None
    return image or IMAGE


def _runtimes(info: Info, settings: Settings) -> str:
    names = {*filter(None, [settings.runtime]), *settings.runtimes_allowed}
    if missing := names - set(info.get("Runtimes", {})):
        raise Unfit(f"the engine does not know {', '.join(sorted(missing))}")
    own = settings.runtime or info.get("DefaultRuntime", "the default")
    return f"{own}; tasks may choose {', '.join(sorted(names)) or 'no other'}"
