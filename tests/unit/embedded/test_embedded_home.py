"""What embedded servers keep from one run to the next: ports, passwords and the folder itself."""

import socket
from pathlib import Path

from attrs import evolve

from orchestrator.embedded import home, running
from orchestrator.embedded.ports import GRPC_OFFSET, choose_ports


def test_ports_are_free_apart_and_kept() -> None:
    """With those above them that SeaweedFS adds; a port that was taken meanwhile is replaced."""
    ports = choose_ports(7)
    assert len({*ports, *(port + GRPC_OFFSET for port in ports)}) == 14
    assert choose_ports(7, ports) == ports
    for taken in (ports[3], ports[3] + GRPC_OFFSET):
        with socket.create_server(("127.0.0.1", taken)):
            assert ports[3] not in choose_ports(7, ports)


def test_a_new_folder_is_held_by_nobody(tmp_path: Path) -> None:
    """Looking makes nothing."""
    assert running(tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()


def test_passwords_differ_and_stay(tmp_path: Path) -> None:
    """One for each server, made once."""
    state = home.load(tmp_path)
    kept = evolve(state, passwords={"a": state.password("a")})
    home.save(tmp_path, kept)
    assert home.load(tmp_path).password("a") == kept.password("a") != kept.password("b")
