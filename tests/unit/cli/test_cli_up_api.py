"""The address of the API of an `up` is its own from the first moment."""

from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.cli import up_server
from orchestrator.errors import SettingsError


def test_two_that_start_at_once_have_two_ports(tmp_path: Path) -> None:
    """The second takes the next one, also before the first one's server has begun to answer."""
    found = [up_server.api(tmp_path, {}) for _ in range(3)]
    sockets = [each.listening for each in found if each]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    assert len({*ports}) == 3
    assert [each.url for each in found if each] == [f"http://127.0.0.1:{port}" for port in ports]


def test_a_port_that_is_asked_for_and_taken_is_refused(tmp_path: Path) -> None:
    """In a sentence that names it."""
    first = up_server.api(tmp_path, {})
    assert first
    with (
        closing(first.listening) as listening,
        pytest.raises(SettingsError, match=r"API_PORT: port \d+ of 127\.0\.0\.1 is in use"),
    ):
        up_server.api(tmp_path, {"API_PORT": str(listening.getsockname()[1])})
