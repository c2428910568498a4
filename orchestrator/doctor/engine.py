"""Checks the Docker engine: whether it answers, can hold a task to its limits, and runs one."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any

import docker
from docker.errors import DockerException
from requests import RequestException

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.engine_facts import EngineFacts
from orchestrator.doctor import isolation
from orchestrator.doctor.finding import Finding, Unfit, clock, look, reason
from orchestrator.errors import ImageUnavailable, InfrastructureError
from orchestrator.execution.admission import Capacity, Share
from orchestrator.ports import Engine, PullPolicy
from orchestrator.settings.settings import Settings
from orchestrator.task.units import format_size

IMAGE = "orchestrator-busybox:1"
_FAILURES = (DockerException, RequestException)
_PATIENCE = 60
Info = Mapping[str, Any]


def check(settings: Settings, image: str | None = None) -> Iterator[Finding]:
    """Check the engine, and run a container of ``image``; without it, of ``IMAGE`` if the engine has this image."""
    where = settings.docker_host
    advice = f"start Docker, or set DOCKER_HOST; let this user use the socket: usermod -aG docker, or run as root ({where})"
    answers: list[EngineFacts] = []
    reached = look("Docker engine", advice, lambda: _described(where, answers), InfrastructureError)
    yield reached
    if not reached.ok:
        return
    facts = answers[0]
    yield look(
        "engine limits", "boot with cgroup_enable=memory swapaccount=1, or use a host with cgroup v2", lambda: _limits(facts)
    )
    yield look("isolation", "use an engine with its default seccomp profile", lambda: _isolation(facts))
    yield look(
        "room",
        "lower DEFAULT_CPUS or DEFAULT_MEMORY, or raise MEMORY_BUDGET",
        lambda: _room(facts, settings),
    )
    yield look("containers", "start Docker", lambda: _containers(where), InfrastructureError)
    yield clock("Docker", lambda: datetime.fromisoformat(_ask(where).time), InfrastructureError)
    yield look(
        "runtimes",
        "add them to the engine's daemon.json, or change RUNTIME and RUNTIMES_ALLOWED",
        lambda: _runtimes(facts, settings),
    )
    yield from _probes(settings, image, facts.kernel)


def _ask(where: str) -> EngineFacts:
    with closing(DockerClient(where, _PATIENCE)) as client:
        return client.ask()


def _described(where: str, answers: list[EngineFacts]) -> str:
    answers.append(_ask(where))
    return str(answers[0])


def _limits(facts: EngineFacts) -> str:
    if facts.unlimited:
        raise Unfit(f"the engine cannot keep a {', '.join(facts.unlimited)} limit")
    return "memory, swap, CPU, processes"


def _isolation(facts: EngineFacts) -> str:
    """The programs that containers need are shown by the containers themselves."""
    if not facts.has_seccomp:
        raise Unfit("missing: seccomp")
    return f"seccomp; runtimes {', '.join(sorted(facts.runtimes)) or 'unknown'}"


def _room(facts: EngineFacts, settings: Settings) -> str:
    """The number of tasks without limits that may run at once; others wait. Raises InvalidTask if not even one may."""
    default = Share(settings.defaults.cpus, settings.defaults.memory)
    capacity = Capacity.of(Share(facts.cpus, facts.memory), settings.cpu_overcommit, settings.memory_budget)
    capacity.check(default)
    fit = min(capacity.budget.cpus // default.cpus, capacity.budget.memory // default.memory)
    return f"{facts.cpus:g} CPUs, {format_size(facts.memory)}: room for {fit:.0f} tasks that name no limits"


def _probes(settings: Settings, image: str | None, kernel: str) -> Iterator[Finding]:
    """The findings of containers from inside. If there is no image for them: one finding, which is not ok."""
    engine = DockerEngine(settings.docker_host)
    advice = f"name an image that the engine has with --image, or get one: docker pull {image or IMAGE}"
    there = look("image", advice, lambda: _image(engine, image))
    yield there
    if there.ok:
        yield from isolation.check(engine, image or IMAGE, settings, partial(described, settings.docker_host), kernel)
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


def _runtimes(facts: EngineFacts, settings: Settings) -> str:
    names = {*filter(None, [settings.runtime]), *settings.runtimes_allowed}
    if missing := names - set(facts.runtimes):
        raise Unfit(f"the engine does not know {', '.join(sorted(missing))}")
    own = settings.runtime or facts.default_runtime or "the default"
    return f"{own}; tasks may choose {', '.join(sorted(names)) or 'no other'}"
