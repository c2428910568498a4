"""What `deployment` refuses: an answer that was not asked for, and an id that this database cannot have had."""

import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.reconcile.database_identity import Memory
from orchestrator.testing.programs import FOREVER
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose worker died while the program of its one task ran."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit({"image": "busybox", "command": [*PROGRAM]}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    return world


def deployment(world: World, *arguments: str, stdin: str = "") -> Result:
    """What the command says, and with which exit code."""
    return CliRunner().invoke(main, ["deployment", *arguments], obj=world.client, input=stdin)


@pytest.mark.parametrize("command", [("take",), ("remove", "--yes")], ids=["take", "remove"])
def test_a_copy_does_not_become_live_by_the_way(world: World, command: tuple[str, ...]) -> None:
    """Only `live` and `new` say whose database it is; until then nothing else is noted or removed."""
    own, store = world.services.deployment, world.services.store
    lost = uuid.uuid4().hex
    store.settle_in(own, [lost])
    store.database = "restored"
    refused = deployment(world, *command, lost)
    assert (refused.exit_code, store.origin().is_copy, store.origin().id) == (2, True, own)
    assert "`orchestrator deployment live`" in refused.output
    assert deployment(world, "live").exit_code == 0
    assert not store.origin().is_copy
    assert deployment(world, *command, lost).exit_code == 0


@pytest.mark.parametrize("command", ["take", "remove"])
@pytest.mark.parametrize("name", ["", "../..", "TYPO", "F" * 32, "f" * 31])
def test_what_is_no_id_of_a_deployment_is_neither_taken_nor_removed(world: World, command: str, name: str) -> None:
    """An id is 32 hexadecimal digits, as `deployment` shows it."""
    own = world.services.deployment
    refused = deployment(world, command, name)
    assert refused.exit_code == 2
    assert f"DEPLOYMENT: {name!r} is no id: 32 of the signs 0-9 and a-f" in " ".join(refused.output.split())
    assert world.services.store.origin().id == own


def test_only_an_id_that_has_left_something_is_taken(world: World) -> None:
    """On the engine, in the database, or in what this host remembers; any other is a slip of the hand."""
    own, store = world.services.deployment, world.services.store
    unknown = uuid.uuid4().hex
    refused = deployment(world, "take", unknown)
    assert refused.exit_code == 2
    assert f"nothing here is of {unknown}" in " ".join(refused.output.split())
    assert store.origin().id == own
    store.settle_in(uuid.uuid4().hex)
    assert deployment(world, "take", own).exit_code == 0
    assert store.origin().id == own
    Memory.of(world.services.settings).keep(unknown)
    assert deployment(world, "take", unknown).exit_code == 0
    assert store.origin().id == unknown
    world.engine.remove("orchestrator-t-1", own)
    assert own in store.origin().former
    assert deployment(world, "take", own).exit_code == 0
    assert store.origin().id == own


def test_a_database_that_is_no_copy_gets_a_new_id_only_when_that_is_confirmed(world: World) -> None:
    """A copy of the server's files cannot be told, so the operator may have to say it."""
    own, store = world.services.deployment, world.services.store
    refused = deployment(world, "new")
    assert (refused.exit_code, store.origin().id) == (2, own)
    assert "--yes" in refused.output
    assert deployment(world, "new", "--yes").exit_code == 0
    assert store.origin().id != own
    store.database = "restored"
    second = store.origin().id
    assert deployment(world, "new").exit_code == 0
    assert (store.origin().id == second, store.origin().former) == (False, {own, second})


def test_an_empty_database_that_is_declared_new_had_no_id_before(tmp_path: Path) -> None:
    """No empty id is noted as one that was given up."""
    world = World(tmp_path)
    assert deployment(world, "new", "--yes").exit_code == 0
    assert world.services.store.origin().former == frozenset()


def test_how_many_programs_would_be_ended_is_told_before_it_is_asked(world: World) -> None:
    """Who sees that some run has perhaps the wrong id in hand."""
    own, store = world.services.deployment, world.services.store
    store.settle_in(uuid.uuid4().hex)
    asked = deployment(world, "remove", own, stdin="n\n")
    assert asked.exit_code == 1
    assert f"Remove 1 containers and volumes of {own}, 1 of which run, and end its programs?" in asked.output
    assert len(world.engine.owned(own)) == 1
