"""What the engine is not asked, because this process knows it."""

from pathlib import Path

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.recent import Recent
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Phase, Stream
from tests.unit.adapters.docker.engine_stub import (
    NOW,
    Answer,
    StubEngine,
    container,
    frame,
    hangs_up,
    raw,
    refuses,
    says,
)

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
INSPECT, ATTACH, DELETE = "GET /containers/c1/json", "POST /containers/c1/attach", "DELETE /containers/c1"
SAYS = raw(UPGRADED, frame(1, b"a"))
INFO = says(200, {"SystemTime": NOW, "ID": "e1"})


def _engine(tmp_path: Path, **script: Answer | list[Answer]) -> tuple[StubEngine, DockerEngine]:
    calls = {"inspect": INSPECT, "attach": ATTACH, "delete": DELETE, "start": "POST /containers/c1/start"}
    named = {calls.get(name, name): answer for name, answer in script.items()}
    stub = StubEngine(
        tmp_path,
        {
            "GET /info": INFO,
            "POST /containers/c1/wait": says(200, {"StatusCode": 0}),
            "GET /containers/n1/json": refuses(404, "none"),
            **named,
        },
    )
    return stub, DockerEngine(stub.url, 5)


def test_who_reads_the_output_to_its_end_knows_the_end(tmp_path: Path) -> None:
    """One question, by the thread that reads; waiting and removing ask no more. A later wait asks."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=container("exited"), delete=says(204))
    with stub:
        assert list(engine.attach("c1", None)) == [(Stream.STDOUT, b"a")]
        asked = stub.calls.count(INSPECT)
        assert engine.wait("c1", 5).phase is Phase.EXITED
        assert (asked, stub.calls.count(INSPECT), "POST /containers/c1/wait" in stub.calls) == (1, 1, False)
        engine.remove("c1", "ours")
        assert [call for call in stub.calls if call.startswith(("DELETE", "GET /vol"))] == [DELETE]
        assert stub.calls.count(INSPECT) == 1
        engine.wait("c1", 0)
        assert stub.calls.count(INSPECT) == 2


@pytest.mark.parametrize("state", [container("running"), refuses(404, "gone"), refuses(500, "busy"), hangs_up])
def test_the_end_of_a_stream_is_not_taken_for_that_of_the_program(tmp_path: Path, state: Answer) -> None:
    """A connection that is cut may look the same. Then waiting asks the engine."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=[state, container("exited")])
    with stub:
        output = engine.attach("c1", None)
        with pytest.raises(InfrastructureError):
            list(output)
        assert engine.wait("c1", 5).phase is Phase.EXITED


def test_a_stream_that_nobody_reads_on_holds_up_no_wait(tmp_path: Path) -> None:
    """As when the reader has given up."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=container("exited"))
    with stub:
        output = engine.attach("c1", None)
        output.close()
        assert engine.wait("c1", 5).phase is Phase.EXITED


def test_a_stream_that_nobody_reads_yet_holds_up_no_wait(tmp_path: Path) -> None:
    """As when the output is read after the exit. Its end would not be seen, so the engine is asked."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=container("exited"))
    with stub:
        output = engine.attach("c1", None)
        assert engine.wait("c1", 5).phase is Phase.EXITED
        assert "POST /containers/c1/wait" in stub.calls
        assert list(output) == [(Stream.STDOUT, b"a")]


def test_another_tasks_container_is_looked_for_by_name_before_it_is_removed(tmp_path: Path) -> None:
    """What is known of the exited one belongs to another deployment: only a look can tell what has the name by now."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=container("exited"), delete=says(204))
    with stub:
        list(engine.attach("c1", None))
        engine.remove("c1", "theirs")
        assert DELETE not in stub.calls
        assert stub.calls.count(INSPECT) == 2


def test_a_container_that_somebody_else_removed_is_looked_for_by_name(tmp_path: Path) -> None:
    """Another one of the same task may have the name by now."""
    stub, engine = _engine(tmp_path, attach=SAYS, inspect=container("exited"), delete=[refuses(404, "gone"), says(204)])
    with stub:
        list(engine.attach("c1", None))
        engine.remove("c1", "ours")
        assert stub.calls.count(DELETE) == 2


def test_facts_are_forgotten_when_there_are_too_many() -> None:
    """The oldest first; one that is put again is the newest."""
    recent = Recent[int](2)
    for container_id, fact in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(container_id, fact)
    assert [recent.get(each) for each in "abc"] == [3, None, 4]
    assert [recent.pop("a"), recent.pop("a")] == [3, None]
