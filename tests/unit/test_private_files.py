"""Output waits in folders that no other user can change, and files are never reached by a link."""

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator import private_files as private
from orchestrator.doctor import host
from orchestrator.errors import InfrastructureError
from orchestrator.output.artifacts import Bounds, gather
from orchestrator.output.spool import Spool, discard, folders, sealed
from orchestrator.ports import Stream
from orchestrator.settings.settings import Settings
from tests.support.tars import entry, packed
from tests.unit.cli.command_line import CommandLine

BESIDES = 54321
"""A uid that is neither root's nor that of these tests."""


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def spooled(folder: Path, tail: int = 0) -> Spool:
    """A spool with a line in it."""
    spool = Spool(folder, 100, tail)
    spool.open()
    spool.write(Stream.STDOUT, b"secret\n")
    return spool


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process becomes another user, as far as it knows; what is on the disk is then somebody else's."""
    monkeypatch.setattr(os, "geteuid", lambda: BESIDES)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_every_level_is_for_this_user_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask is; files too."""
    before = os.umask(umask)
    try:
        spooled(tmp_path / "state" / "spool" / "deployment" / "task" / "token", tail=10).seal(complete=True)
    finally:
        os.umask(before)
    made = [*(tmp_path / "state").rglob("*"), tmp_path / "state"]
    assert {mode(path) for path in made if path.is_dir()} == {0o700}
    assert {mode(path) for path in made if path.is_file()} == {0o600}


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("bits", [0o770, 0o707, 0o777])
def test_a_level_that_others_may_write_to_is_refused(tmp_path: Path, level: int, bits: int) -> None:
    """Wherever it is in the path; the sentence names it and says its mode."""
    folder = tmp_path / "a" / "b" / "c"
    private.make(folder)
    bad = [folder, *folder.parents][level]
    bad.chmod(bits)
    with pytest.raises(private.Unsafe, match=rf"^{bad} may be written to by other users: its mode is {bits:04o}$"):
        spooled(folder)
    with pytest.raises(private.Unsafe):
        gather(iter([packed([entry("out/a", b"a")])]), ["."], Bounds(100, 10, 60), folder / "artifacts")
    assert [*folder.iterdir()] == []


def test_a_sticky_folder_may_lie_above_and_may_not_be_the_folder_itself(tmp_path: Path) -> None:
    """In /tmp nobody takes another's folder away, but anybody may put something beside it."""
    tmp_path.chmod(0o1777)
    spooled(tmp_path / "spool").close()
    with pytest.raises(private.Unsafe, match="its mode is 1777"):
        spooled(tmp_path)


@pytest.mark.usefixtures("other")
def test_a_level_that_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    """As one that was made beforehand, below a folder in which everybody may make some."""
    planted = tmp_path / "spool"
    planted.mkdir(mode=0o700)
    with pytest.raises(private.Unsafe, match=rf"belongs to uid {planted.stat().st_uid}, and the worker runs as uid {BESIDES}$"):
        private.make(planted)


@pytest.mark.usefixtures("other")
def test_a_link_that_belongs_to_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link of root or of this user is followed; any other is not."""
    (tmp_path / "there").mkdir(mode=0o700)
    link = tmp_path / "spool"
    link.symlink_to(tmp_path / "there")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", os.getuid)
        private.make(link / "deployment")
    if os.getuid() == 0:
        os.lchown(link, BESIDES + 1, BESIDES + 1)
    with pytest.raises(private.Unsafe, match="belongs to uid"):
        private.make(link)


@pytest.mark.parametrize("name", ["stdout", "stderr", "stdout.tail", "sealed.json.new"])
def test_a_file_is_never_written_through_a_link(tmp_path: Path, name: str) -> None:
    """Where it leads, nothing changes."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"root's own")
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(precious)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        spooled(folder, tail=10).seal(complete=True)
    assert precious.read_bytes() == b"root's own"


@pytest.mark.parametrize("name", ["stdout", "sealed.json"])
def test_a_file_is_never_read_through_a_link(tmp_path: Path, name: str) -> None:
    """Neither as sealed nor as what a dead process left."""
    folder = tmp_path / "spool"
    spooled(folder).seal(complete=True)
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert sealed(folder) is None
    if name == "stdout":
        heir = Spool(tmp_path / "heir", 100)
        with closing(heir), pytest.raises(OSError, match="Too many levels of symbolic links"):
            heir.salvage(folder)


def test_nothing_is_swept_or_discarded_where_others_may_write(tmp_path: Path) -> None:
    """What is there may be a link to anything."""
    spool = tmp_path / "spool"
    private.make(spool / "orchestrator-t-1")
    assert [folder.name for folder in folders(spool)] == ["orchestrator-t-1"]
    spool.chmod(0o777)
    with pytest.raises(InfrastructureError, match=r"spool: .*may be written to by other users"):
        folders(spool)
    discard(spool / "orchestrator-t-1")
    assert (spool / "orchestrator-t-1").is_dir()
    spool.chmod(0o755)
    discard(spool / "orchestrator-t-1")
    assert folders(spool) == []
    assert folders(tmp_path / "none") == []


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    """Also of what was refused."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    spooled(tmp_path / "a").seal(complete=True)
    (tmp_path / "a").chmod(0o777)
    with pytest.raises(private.Unsafe):
        private.make(tmp_path / "a" / "b")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_default_is_a_place_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's below /var/lib, another's in its state folder; a relative XDG_STATE_HOME does not count."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Settings().spool_dir == Path("/var/lib/orchestrator/spool")
    monkeypatch.setattr(os, "geteuid", lambda: BESIDES)
    monkeypatch.setenv("HOME", "/home/alice")
    for given, state in (("", "/home/alice/.local/state"), ("state", "/home/alice/.local/state"), ("/srv/s", "/srv/s")):
        monkeypatch.setenv("XDG_STATE_HOME", given)
        assert Settings().spool_dir == Path(state) / "orchestrator" / "spool"


def test_worker_and_doctor_say_what_is_wrong_with_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a task is taken: the variable, the folder, and its mode."""
    spool = tmp_path / "spool"
    spool.mkdir()
    spool.chmod(0o777)
    found = next(iter(host.check(Settings(spool_dir=spool))))
    assert (found.ok, found.found) == (False, f"{spool} may be written to by other users: its mode is 0777")
    monkeypatch.setenv("SPOOL_DIR", str(spool))
    called = CommandLine(tmp_path / "world")("worker")
    assert called.exit_code != 0
    assert f"SPOOL_DIR: {spool} may be written to by other users: its mode is 0777" in called.stderr
