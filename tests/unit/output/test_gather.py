"""What is taken out of the archive of /out: files that were asked for, and nothing that could do harm."""

import hashlib
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.artifacts import ROW, Bounds, Gathered, gather, nothing
from orchestrator.task.artifact import Refusal
from tests.support.tars import END, entry, out, packed

BOUNDS = Bounds(bytes=1 << 20, files=100, seconds=60)
ALL = (".",)


def take(folder: Path, archive: bytes, wanted: tuple[str, ...] = ALL, bounds: Bounds = BOUNDS) -> Gathered:
    """Take from an archive that comes in pieces."""
    return gather((archive[at : at + 700] for at in range(0, len(archive), 700)), wanted, bounds, folder / "taken")


def contents(gathered: Gathered) -> dict[str, bytes]:
    """What was taken, by path."""
    return {file.path: file.at.read_bytes() for file in gathered.files}


def why(gathered: Gathered) -> dict[str, str]:
    """What was refused, by path."""
    return {refusal.path: refusal.why for refusal in gathered.refused}


TREE = packed(
    [
        entry("out", kind=tarfile.DIRTYPE),
        entry("out/a.txt", b"a"),
        entry("out/empty", kind=tarfile.DIRTYPE),
        entry("out/deep", kind=tarfile.DIRTYPE),
        entry("out/deep/er/b", b"bb"),
        entry("out/deeper", b"c"),
        entry("out/naïve ☃", b"d"),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        (ALL, {"a.txt", "deep/er/b", "deeper", "naïve ☃"}),
        (("a.txt", "empty"), {"a.txt"}),
        (("deep",), {"deep/er/b"}),
        (("deep/er", "deep/er/b"), {"deep/er/b"}),
        (("naïve ☃",), {"naïve ☃"}),
    ],
)
def test_files_and_folders_are_taken_by_their_paths(tmp_path: Path, wanted: tuple[str, ...], paths: set[str]) -> None:
    """Each with its bytes and their sum; an empty folder is nothing to keep and nothing to complain of."""
    gathered = take(tmp_path, TREE, wanted)
    assert (contents(gathered).keys(), gathered.refused) == (paths, ())
    for file in gathered.files:
        data = file.at.read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_what_is_not_there_is_noted(tmp_path: Path) -> None:
    """By the name that was asked for."""
    gathered = take(tmp_path, TREE, ("a.txt", "none", "deep/none"))
    assert contents(gathered) == {"a.txt": b"a"}
    assert why(gathered) == dict.fromkeys(["none", "deep/none"], "there is nothing of this name")


HOSTILE = {
    "symbolic link": (entry("out/l", kind=tarfile.SYMTYPE, link="/etc/passwd"), "l", "it is a symbolic link"),
    "hard link": (entry("out/l", kind=tarfile.LNKTYPE, link="/etc/passwd"), "l", "it is a hard link"),
    "character device": (entry("out/d", kind=tarfile.CHRTYPE), "d", "it is a device"),
    "block device": (entry("out/d", kind=tarfile.BLKTYPE), "d", "it is a device"),
    "FIFO": (entry("out/f", kind=tarfile.FIFOTYPE), "f", "it is a FIFO"),
    "unknown": (entry("out/u", kind=b"Z"), "u", "it is a thing of an unknown kind"),
    "way out": (entry("out/../../etc/cron.d/x", b"x"), "../../etc/cron.d/x", "is not a relative path"),
    "absolute": (entry("/etc/cron.d/x", b"x"), "etc/cron.d/x", "it is outside"),
    "absolute below": (entry("out//etc/x", b"x"), "/etc/x", "is not a relative path"),
    "dots within": (entry("out/a/../b", b"x"), "a/../b", "is not a relative path"),
    "beside": (entry("outside/x", b"x"), "x", "it is outside"),
    "not UTF-8": (entry("out/\udcff", b"x"), "\\xff", "its name is not UTF-8"),
    "long name": (entry("out/" + "n" * 256, b"x"), "n" * 256, "is not a relative path"),
    "large": (entry("out/large", bytes(BOUNDS.bytes + 1)), "large", "are more than what is left"),
}


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_could_do_harm_is_refused_by_name(tmp_path: Path, case: tuple[tuple[tarfile.TarInfo, bytes], str, str]) -> None:
    """And nothing else suffers: what comes after it is taken."""
    member, path, words = case
    gathered = take(tmp_path, packed([member, entry("out/after", b"fine")]))
    assert contents(gathered) == {"after": b"fine"}
    assert [refusal.path for refusal in gathered.refused] == [path]
    assert words in gathered.refused[0].why


def test_a_second_file_of_a_name_is_refused(tmp_path: Path) -> None:
    """The first stands."""
    gathered = take(tmp_path, packed([entry("out/a", b"1"), entry("out/a", b"2")]))
    assert (contents(gathered), why(gathered)) == ({"a": b"1"}, {"a": "it is the second of this name"})


def test_more_files_than_may_be_end_it(tmp_path: Path) -> None:
    """As many as may be are kept."""
    archive = out(**{f"f{number}": b"x" for number in range(200)})
    gathered = take(tmp_path, archive, ("f0", "f199", *(f"f{number}" for number in range(1, 199))))
    assert len(gathered.files) == 100
    assert Refusal(".", "not all was collected: there are more than 100 files") in gathered.refused
    assert why(gathered)["f199"] == "it was not reached"


def test_an_archive_of_more_bytes_than_the_folder_can_hold_ends_it(tmp_path: Path) -> None:
    """Holes read as zeros, without end: what came before them is kept."""

    def archive():  # noqa: ANN202
        yield packed([entry("out/a", b"a")])[: 2 * 512]
        info, _ = entry("out/holes")
        info.size = 1 << 40
        yield info.tobuf(tarfile.GNU_FORMAT)
        while True:
            yield bytes(1 << 16)

    gathered = gather(archive(), ALL, BOUNDS, tmp_path / "taken")
    assert contents(gathered) == {"a": b"a"}
    assert "1099511627776 bytes" in why(gathered)["holes"]
    assert "large holes" in why(gathered)["."]


def test_time_is_bounded(tmp_path: Path) -> None:
    """An archive that takes too long ends, with what was taken."""
    gathered = take(tmp_path, TREE, bounds=Bounds(1 << 20, 100, -1))
    assert "took longer" in why(gathered)["."]


def test_many_refusals_are_counted_not_listed(tmp_path: Path) -> None:
    """The document stays small."""
    gathered = take(tmp_path, packed([entry(f"out/{number}", kind=tarfile.FIFOTYPE) for number in range(5000)]))
    assert len(gathered.refused) == 101
    assert gathered.refused[-1] == Refusal(".", "4900 more are refused")


@pytest.mark.parametrize("archive", [b"", b"junk" * 500, TREE[:1800], END])
def test_a_broken_archive_is_told(tmp_path: Path, archive: bytes) -> None:
    """It is no error of the worker's; what was whole is kept."""
    gathered = take(tmp_path, archive, ("deeper",))
    assert gathered.files == ()
    assert why(gathered)["deeper"]


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("ao./\n☃"), min_size=1, max_size=12),
            st.binary(max_size=600),
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
        ),
        max_size=8,
    )
)
def test_no_hostile_archive_writes_outside_of_its_folder(members: list[tuple[str, bytes, bytes]]) -> None:
    """Whatever its names and links are: only files in the folder, no two of a path, no path that leads out."""
    entries = [entry("out/" + name, data if kind == tarfile.REGTYPE else b"", kind, "..") for name, data, kind in members]
    with tempfile.TemporaryDirectory() as folder:
        gathered = take(Path(folder), packed(entries), bounds=Bounds(2000, 4, 60))
        inside = Path(folder) / "taken"
        assert {path for path in Path(folder).rglob("*") if path != inside} >= {file.at for file in gathered.files}
        assert all(path.parent == inside and not path.is_symlink() for path in inside.rglob("*"))
        paths = [file.path for file in gathered.files]
        assert len(set(paths)) == len(paths) <= 4
        assert not any({"", ".", ".."} & {*path.split("/")} for path in paths)
        assert sum(file.bytes for file in gathered.files) <= 2000


def test_files_whose_names_have_no_room_are_refused(tmp_path: Path) -> None:
    """The document of the task is bounded. A file with a shorter name may have room behind one with a long name."""
    archive = packed([entry("out/a", b"a"), entry("out/" + "b" * 200, b"b"), entry("out/c", b"c")])
    gathered = take(tmp_path, archive, bounds=Bounds(1 << 20, 100, 60, names=2 * ROW + 10))
    assert contents(gathered) == {"a": b"a", "c": b"c"}
    assert why(gathered) == {"b" * 200: "there is no room for its name in the document of the task"}


def test_what_is_refused_is_bounded_in_bytes(tmp_path: Path) -> None:
    """Also where all of many wanted paths are refused for one reason."""
    wanted = [f"{number:05}" + "☃" * 300 for number in range(5000)]
    stopped = take(tmp_path, b"no archive", tuple(wanted))
    for refused in (nothing(wanted, "it is lost").refused, stopped.refused):
        assert 100 < len(refused) < 1000
        assert sum(len(each.path.encode()) + len(each.why) for each in refused) < 1 << 18
        assert refused[-1].path == "."
        assert refused[-1].why.endswith("more are refused")
        named = [each for each in refused if each.path != "."]
        assert int(refused[-1].why.split()[0]) == 5000 - len(named)
    assert "not all was collected" in stopped.refused[0].why
