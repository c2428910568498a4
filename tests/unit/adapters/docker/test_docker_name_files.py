"""The files by which a program finds localhost: made once, and made again when removed; on a scripted engine."""

import pytest

from orchestrator.adapters.docker import cleanup as docker_owned
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.adapters.docker.name_files import CONTENT, VOLUME
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Created
from orchestrator.task.labels import DEPLOYMENT, NAMES
from tests.support.containers import IMAGE, Bench
from tests.unit.adapters.docker.engine_stub import Answer, Handler, Script, Stage, container, refuses, says

LOOK = "/containers/c2-look-x"
CREATE, READ, WRITE = "POST /containers/create", f"GET {LOOK}/archive", f"PUT {LOOK}/archive"
FOLDER = "/engine/volumes/names"
VOLUME_MADE = {"Name": VOLUME, "Mountpoint": FOLDER, "Labels": {NAMES: VOLUME}, "Driver": "local", "Options": None}
MADE = says(201, {"Id": "c1"})
GONE = refuses(400, f'invalid mount config for type "bind": bind source path does not exist: {FOLDER}/hosts')


def _tar(content: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in {"Content-Length": str(len(content)), "X-Docker-Container-Path-Stat": "e30="}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


FILLED = archive({f"task/{name}": content for name, content in CONTENT.items()})


def _engine(created: Answer | list[Answer], read: Answer | list[Answer]) -> Script:
    return {
        f"GET /images/{IMAGE}/json": says(200, {"Id": "sha256:1", "Config": {}}),
        "POST /volumes/create": says(200, VOLUME_MADE),
        f"GET {LOOK}/json": container("created"),
        "DELETE /containers/c1": says(204),
        CREATE: created,
        READ: read,
        WRITE: says(200),
    }


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers that are only looked through have one name."""
    monkeypatch.setattr(docker_owned, "token_hex", lambda _: "x")


def _create(engine) -> Created:  # noqa: ANN001
    return engine.create(Bench(engine).plan("true", name="c2", labels={DEPLOYMENT: "ours"}))


NO_PASSWD = refuses(404, "no such file")


@pytest.mark.parametrize(("there", "writes"), [(_tar(FILLED), 0), (_tar(archive({"task/hosts": b"old"})), 1)])
def test_what_is_there_is_not_written_again(stage: Stage, there: Answer, writes: int) -> None:
    """Another worker may be about to mount it; and a process looks once."""
    stub, engine = stage(_engine(MADE, [NO_PASSWD, there]))
    assert _create(engine) == _create(engine) == Created("c1", adopted=False)
    assert stub.calls.count(WRITE) == writes
    assert stub.calls.count(READ) == 2


def test_files_that_somebody_removed_are_made_again(stage: Stage) -> None:
    """The attempt is tried again, and then has them."""
    stub, engine = stage(_engine([MADE, MADE, GONE, MADE, MADE], [NO_PASSWD, _tar(FILLED), _tar(archive({}))]))
    with pytest.raises(InfrastructureError, match="volume of host names was removed"):
        _create(engine)
    assert _create(engine) == Created("c1", adopted=False)
    assert stub.calls.count(WRITE) == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"Labels": None}, "label orchestrator.names=None, driver local and options none"),
        ({"Driver": "nfs"}, "driver nfs"),
        ({"Options": {"type": "none", "o": "bind", "device": "/etc"}}, "options device, o, type"),
    ],
)
def test_a_volume_that_somebody_else_made_is_not_believed(stage: Stage, changed: dict[str, object], told: str) -> None:
    """All tasks of the engine would see its files. Nothing is read from it or written to it."""
    described = says(200, VOLUME_MADE | changed)
    stub, engine = stage(_engine(MADE, [NO_PASSWD]) | {"POST /volumes/create": described, f"GET /volumes/{VOLUME}": described})
    with pytest.raises(InfrastructureError, match=told):
        _create(engine)
    assert stub.calls.count(READ) == 1
    assert WRITE not in stub.calls


def test_nothing_is_looked_for_without_an_image(stage: Stage) -> None:
    """The create of the container says that it is not there."""
    stub, engine = stage({CREATE: MADE})
    assert _create(engine) == Created("c1", adopted=False)
    assert stub.calls.count(CREATE) == 1
