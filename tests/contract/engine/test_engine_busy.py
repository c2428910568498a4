"""Whether the engine went down does not depend on its work since the end of the program."""

import pytest

from orchestrator.errors import ContainerMissing
from tests.support import pace
from tests.support.containers import Bench, library
from tests.support.noise import Noise

REMEMBERED = 256
"""So many events an engine remembers, of all containers."""
REPETITIONS = 200
ENDINGS = ("exit 0", "exit 1", "exit 255", "kill -TERM $$", "kill -KILL $$")


@pytest.mark.parametrize("rate", [0, 5, 50])
def test_a_busy_engine_has_not_gone_down(docker: Bench, rate: float) -> None:
    """The engine has forgotten each end before the first question, and is asked repeatedly while it is busy."""
    ended = [docker.run(script).state for script in ENDINGS]
    with Noise(rate) as noise:
        noise.burst(2 * REMEMBERED)
        turns = [(ended[turn % len(ended)], turn % 2 == 0) for turn in range(REPETITIONS)]
        assert [state for state, away in turns if docker.engine.took_down(state, away=away)] == []


def test_a_container_that_somebody_stops_or_kills_was_not_taken_down_by_its_engine(docker: Bench) -> None:
    """A removal by force begins with a kill."""
    containers = [docker.start("exec sleep 600") for _ in range(2)]
    with Noise(5) as noise, library() as client:
        client.api.kill(containers[0])
        client.api.stop(containers[1])
        states = [docker.engine.wait(container, pace.seconds(15)) for container in containers]
        noise.burst(2 * REMEMBERED)
        assert [state.exit_code for state in states] == [137, 143]
        assert not any(docker.engine.took_down(state, away=False) for state in states)


def test_a_container_that_somebody_removes_is_missing(docker: Bench) -> None:
    """Also on a busy engine. The program does not count as one that went down with its engine."""
    container = docker.start("exec sleep 600")
    with Noise(5) as noise, library() as client:
        noise.burst(2 * REMEMBERED)
        client.api.remove_container(container, force=True)
    with pytest.raises(ContainerMissing):
        docker.engine.wait(container, pace.seconds(15))
