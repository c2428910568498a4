"""Variables of Docker's own client that this one cannot follow are refused, and never passed over."""

import pytest

from orchestrator.errors import SettingsError
from orchestrator.settings.settings import Settings


@pytest.mark.parametrize("name", ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"])
def test_a_remote_engine_is_not_reached_in_clear_when_tls_is_asked_for(name: str) -> None:
    """Over a socket there is nothing to encrypt."""
    with pytest.raises(SettingsError, match=f"^{name}: TLS to the engine is not spoken"):
        Settings.load({"DOCKER_HOST": "tcp://engine:2376", name: "1"})
    assert Settings.load({"DOCKER_HOST": "unix:///run/docker.sock", name: "1"}).docker_host == "unix:///run/docker.sock"
    assert Settings.load({"DOCKER_HOST": "tcp://engine:2375", name: ""}).docker_host == "tcp://engine:2375"


def test_a_context_is_not_passed_over() -> None:
    """With an address of its own, as with Docker's client, the address counts."""
    with pytest.raises(SettingsError, match=r"^DOCKER_CONTEXT: 'far' is not read; set DOCKER_HOST"):
        Settings.load({"DOCKER_CONTEXT": "far"})
    assert Settings.load({"DOCKER_CONTEXT": "default"}) == Settings()
    assert Settings.load({"DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://h:1"}).docker_host == "tcp://h:1"
