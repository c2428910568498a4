"""The surroundings of a program, compared with `docker run` without a network and with a read-only root."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from docker.errors import NotFound

from orchestrator.adapters.docker import name_files as docker_names
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import InfrastructureError
from tests.support.containers import IMAGE, LABEL, Bench, library
from tests.support.pace import WHERE

VOLUME = "orchestrator-test-names"
LOOK = r"""
ls -la /etc /dev | while read -r mode links user group rest; do echo "$mode $user $group ${rest##* }"; done |
  sed -n 's/^\([^ ]* [^ ]* [^ ]* [^ ]*\)$/file \1/p' | grep -v ' \.*$'
ls /etc /dev /proc/self/ns | while read -r name; do echo "name $name"; done
while read -r device place type options rest; do
  echo "mount $place"
  case $place in /sys*|/proc*|/) ;; *) echo "type $place $type" ;; esac
  for option in ro rw nosuid nodev noexec; do case ",$options," in *",$option,"*) echo "option $place $option" ;; esac; done
done < /proc/mounts
while read -r line; do echo "limit $line"; done < /proc/self/limits
while read -r line; do echo "hosts $line"; done < /etc/hosts
while read -r line; do echo "resolver $line"; done < /etc/resolv.conf
while read -r interface rest; do echo "interface $interface"; done < /proc/net/dev
ip addr | grep -o 'inet.*' | while read -r line; do echo "address $line"; done
env | while read -r line; do echo "variable $line"; done
echo "folder $PWD"
"""
"""A line for each thing that a program could depend on; what belongs to one container alone is left out."""

ONLY_A_TASK = {
    "variable HOSTNAME=task",
    "variable HOME=/tmp",
    "hosts 127.0.0.1 localhost task",
    "resolver nameserver 127.0.0.1",
    "resolver options timeout:1 attempts:1",
    "limit Max core file size 0 0 bytes",
    "type /dev/shm tmpfs",
}
"""The whole difference, beside the name, the host's own name servers, and how far a program could raise its core files."""
OF_THE_KERNEL = "address inet6 ::1/128 scope host"
"""The loopback address that the kernel gives where it has IPv6; Docker 20.10 takes it away with the network ``none``."""
ONLY_DOCKER = {
    "variable HOSTNAME=",
    "variable HOME=/",
    "hosts 127.0.0.1 localhost",
    "resolver",
    "limit Max core file size",
    "type /dev/shm shm",
}


@pytest.fixture
def beside(docker: Bench) -> Iterator[set[str]]:
    """The lines of the same program under `docker run`; read-only, without a network, with an init and a /tmp."""
    assert docker.names == []
    with library() as client:
        output = client.containers.run(
            IMAGE,
            ["sh", "-c", LOOK],
            network_mode="none",
            read_only=True,
            init=True,
            user="65534:65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "exec,nosuid,nodev"},  # noqa: S108
            mem_limit=256 << 20,
            ipc_mode="private",
            labels=[LABEL],
            remove=True,
        )
        yield _lines(output)


def _lines(output: bytes) -> set[str]:
    """Without the engine's way to write an address: since Docker 28 it is fe00:: for fe00::0."""
    return {" ".join(line.split()).replace("::0 ", ":: ") for line in output.decode().splitlines()}


def test_a_task_differs_from_docker_run_only_as_the_table_says(docker: Bench, beside: set[str]) -> None:
    """Files in /etc and /dev, mounts with their options, limits, addresses and variables."""
    task = _lines(docker.run(LOOK).stdout)
    assert task - beside <= ONLY_A_TASK | {OF_THE_KERNEL}
    assert task >= ONLY_A_TASK
    assert {line for line in beside - task if not line.startswith(tuple(ONLY_DOCKER))} == set()


def test_localhost_and_the_own_name_are_found(docker: Bench) -> None:
    """Test servers, Java and MPI look for both."""
    ran = docker.run(
        "ping -c 1 -W 1 localhost >/dev/null; grep -c localhost /etc/hosts; hostname; grep -w $(hostname) /etc/hosts;"
        "cat /etc/hostname"
    )
    assert ran.stdout == b"2\ntask\n127.0.0.1\tlocalhost task\ntask\n"


def test_python_resolves_both_and_a_server_is_reached_by_name(docker: Bench) -> None:
    """By both versions of IP where the container has them; another name ends at once."""
    program = """
import socket, threading, time
assert socket.gethostbyname("localhost") == socket.gethostbyname(socket.gethostname()) == "127.0.0.1"
server = socket.create_server(("localhost", 0))
with socket.create_connection((socket.gethostname(), server.getsockname()[1])) as client:
    server.accept()[0].sendall(b"met\\n")
    print(client.recv(9).decode(), end="")
try:
    socket.gethostbyname("example.org")
except socket.gaierror:
    print("unknown")
"""
    ran = docker.run(("python3", "-c", program), image="orchestrator-python:1")
    assert (ran.stdout, ran.stderr) == (b"met\nunknown\n", b"")


def test_the_files_of_names_cannot_be_written(docker: Bench) -> None:
    """All tasks of an engine share them."""
    ran = docker.run("echo mine >> /etc/hosts; echo mine >> /etc/resolv.conf; cat /etc/hosts /etc/resolv.conf", user="0:0")
    assert ran.stderr.count(b"Read-only file system") == 2
    assert b"mine" not in ran.stdout


@pytest.fixture
def other_volume(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The volume of names has a different name, so that no other worker of this engine uses it."""
    monkeypatch.setattr(docker_names, "VOLUME", VOLUME)
    yield
    with library() as client, suppress(NotFound):
        client.volumes.get(VOLUME).remove()


@pytest.mark.usefixtures("other_volume")
def test_a_volume_of_names_that_is_removed_before_a_start_is_no_fault_of_the_task(docker: Bench) -> None:
    """After a prune, the next attempt has the volume again."""
    with closing(DockerEngine(WHERE)) as engine:
        container = engine.create(docker.plan("true")).id
        with library() as client:
            client.volumes.get(VOLUME).remove()
        with pytest.raises(InfrastructureError, match="volume of host names was removed"):
            engine.start(container)
        engine.start(engine.create(docker.plan("true")).id)


@pytest.mark.usefixtures("other_volume")
def test_a_volume_of_names_that_somebody_else_made_is_refused(docker: Bench, tmp_path: Path) -> None:
    """It may be any folder of the host; the sentence says what to do."""
    with library() as client, closing(DockerEngine(WHERE)) as engine:
        client.volumes.create(VOLUME, driver_opts={"type": "none", "o": "bind", "device": str(tmp_path)})
        told = f"volume {VOLUME} has .* options device, o, type instead of .*: remove it"
        with pytest.raises(InfrastructureError, match=told):
            engine.create(docker.plan("true"))
