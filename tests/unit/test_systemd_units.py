"""Names of systemd's units, and a system bus that does not answer."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.systemd_units import Units, escape, folder, unescape
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
    assert units.refusal() == "the system bus does not answer here"


def test_a_bus_that_is_silent_is_infrastructure(tmp_path: Path) -> None:
    """It takes connections, and answers none."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "bus"))
        silent.listen()
        assert Units(f"unix:path={tmp_path / 'bus'}").refusal() == "the system bus does not answer here"
