"""What `up` does on a full disk: its servers are asked to stop before they are ended, and an error names the file."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.cli.down import noted
from orchestrator.embedded import Embedded, home
from orchestrator.embedded.process import Process, Server
from orchestrator.settings.environment import published


@contextmanager
def full() -> Iterator[None]:
    """No file of this process can grow, which the system says of a descriptor, so without a name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("bad", ["", "b"])
def test_servers_are_asked_to_stop_also_on_a_full_disk(tmp_path: Path, bad: str) -> None:
    """All before any is waited for. Each is waited for, also where another leaves a file that cannot be removed."""
    done: list[str] = []

    def stop(name: str) -> None:
        done.append(f"stop {name}")
        if name == bad:
            raise PermissionError

    def process(name: str) -> Any:
        return SimpleNamespace(ask_to_stop=lambda: done.append(f"ask {name}"), stop=lambda _: stop(name))

    servers = Embedded(tmp_path, [])
    servers.__enter__()
    servers.processes = {name: process(name) for name in "abc"}
    with pytest.raises(OSError), full():  # noqa: PT011  it is one of two
        servers.__exit__(None, None, None)
    assert [words.partition(" ")[0] for words in done] == ["ask"] * 3 + ["stop"] * 3
    assert {*done} == {f"{verb} {name}" for verb in ("ask", "stop") for name in "abc"}


def _publish(folder: Path) -> None:
    with published(folder / "env", {"QUEUE": "q"}):
        pass


def _note(folder: Path) -> None:
    with noted(folder):
        pass


def _start(folder: Path) -> None:
    with (folder / "lock").open("wb") as lock:
        Process(Server("weed", ("true",), lambda: True, files={"keys": "secret"}), folder / "weed", lock.fileno()).start()


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda folder: home.save(folder, home.State()), "servers.json.new"),
        (_publish, "env.new"),
        (_note, "up.pid"),
        (_start, "weed/keys"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, write: Callable[[Path], None], name: str) -> None:
    """Without its name the command would say that its output cannot be written."""
    with pytest.raises(OSError, match="too large") as raised, full():
        write(tmp_path)
    assert raised.value.filename == str(tmp_path / name)
