"""The pool of containers that wait for a program, without an engine."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from orchestrator.adapters.docker import attach, stdin
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.warm import WarmPool
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan
from tests.unit.adapters.docker.test_docker_handover import PLAN


def test_a_container_that_cannot_be_started_is_removed_with_its_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other of the pool is; its connections are closed."""
    dialled: list[socket.socket] = []

    def dial(*_: Any) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.close()
        dialled.append(ours)
        return ours

    def start(_: str) -> None:
        raise OSError("the engine has no memory")

    monkeypatch.setattr(attach, "dial", dial)
    monkeypatch.setattr(stdin, "dial", dial)
    removed: list[tuple[str, ContainerPlan]] = []
    client: Any = SimpleNamespace(api=SimpleNamespace(start=start))
    pool = WarmPool(client, lambda _: (Image("sha256:1"), {"Id": "c1"}), lambda *which: removed.append(which))
    with pytest.raises(InfrastructureError, match="no memory"):
        pool._started(PLAN)
    ((container, plan),) = removed
    assert (container, evolve(plan, name=PLAN.name)) == ("c1", PLAN)
    assert plan.name.startswith("orchestrator-warm-")
    assert [connection.fileno() for connection in dialled] == [-1, -1]
