"""Names of systemd's units, and a system bus that does not answer."""

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker import systemd_units
from orchestrator.adapters.docker.systemd_units import Units, escape, folder, unescape
from orchestrator.errors import InfrastructureError


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("t-9-2", r"t\x2d9\x2d2"), ("a.b_C3", "a.b_C3"), (".hidden", r"\x2ehidden"), ("back\\slash", r"back\x5cslash")],
)
def test_text_is_escaped_as_systemd_escapes_it(text: str, escaped: str) -> None:
    """A dash would be a level."""
    assert (escape(text), unescape(escaped)) == (escaped, text)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_what_is_escaped_can_be_read_again(text: str) -> None:
    """And holds no dash."""
    assert unescape(escape(text)) == text
    assert "-" not in escape(text)


@pytest.mark.parametrize(
    ("unit", "where"),
    [("a.slice", "a.slice"), ("a-b.slice", "a.slice/a-b.slice"), ("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice")],
)
def test_a_slice_is_in_those_that_its_name_begins_with(unit: str, where: str) -> None:
    """As systemd has it."""
    assert folder(unit) == where


def test_a_bus_that_is_away_is_infrastructure(tmp_path: Path) -> None:
    """It may come back; and no unit may be stopped meanwhile."""
    units = Units(f"unix:path={tmp_path / 'bus'}")
    with pytest.raises(InfrastructureError, match="the system bus does not answer"):
        units.stop("orchestrator-x.slice")
    with pytest.raises(InfrastructureError, match="the system bus does not answer"):
        units.refusal()


def test_a_bus_that_is_silent_is_infrastructure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections, and answers none, not even a greeting once it has let somebody in."""
    monkeypatch.setattr(systemd_units, "_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "bus"))
        silent.listen()
        with pytest.raises(InfrastructureError, match="the system bus does not answer"):
            Units(f"unix:path={tmp_path / 'bus'}").refusal()


def test_a_bus_that_stops_after_the_handshake_is_infrastructure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its greeting is not waited for without end."""
    monkeypatch.setattr(systemd_units, "_SECONDS", 0.3)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(tmp_path / "bus"))
        bus.listen()
        handshake = threading.Thread(target=_lets_in, args=(bus,))
        handshake.start()
        with pytest.raises(InfrastructureError, match="the system bus does not answer"):
            Units(f"unix:path={tmp_path / 'bus'}").stop("orchestrator-x.slice")
        handshake.join()


def _lets_in(bus: socket.socket) -> None:
    caller, _ = bus.accept()
    with caller:
        caller.settimeout(20)
        caller.recv(4096)
        caller.sendall(b"OK 1234deadbeef1234deadbeef1234dead\r\n")
        while caller.recv(4096):
            pass
