"""Hostile programs that leave in /out what nobody should collect."""

from collections.abc import Mapping

from tests.support.abuse_program import Program, Proof, Seen, python, shell

MIB = 1 << 20


def leaving(request: Mapping[str, object], size: int = 4 * MIB) -> dict[str, object]:
    """The request, with all of its /out to be kept, of a size in bytes."""
    limits = request["limits"]
    assert isinstance(limits, dict)
    return {**request, "artifacts": ["."], "limits": {**limits, "artifacts": size}}


def _stored(seen: Seen) -> dict[str, int]:
    return {each["path"]: each["bytes"] for each in seen.document["artifacts_stored"]}


def _refused(seen: Seen) -> dict[str, str]:
    return {each["path"]: each["why"] for each in seen.document["artifacts_refused"]}


def _keeps(stored: Mapping[str, int], refused: Mapping[str, str]) -> Proof:
    """These files by size, and these refusals by words in them; no others."""

    def proof(seen: Seen) -> str:
        told = _refused(seen)
        assert _stored(seen) == stored
        assert told.keys() == refused.keys()
        assert all(words in told[path] for path, words in refused.items()), told
        return "; ".join([f"kept {len(stored)}", *(f"{path!a}: {why}" for path, why in told.items())])

    return proof


def _many(seen: Seen) -> str:
    assert len(_stored(seen)) == 256
    assert "more than 256 files" in _refused(seen)["."]
    assert 256 < int(seen.lines[-1]) <= 1024
    return f"{seen.lines[-1]} made, 256 kept; the rest told"


def _holes(seen: Seen) -> str:
    assert seen.lines[-1] == "1099511627776"
    assert "large holes" in _refused(seen)["."]
    return "no more of them is read than the folder could hold twice"


_FILES = """
    made = 0
    try:
        while made < 10 ** 5:
            open(f"/out/{made}", "x").close()
            made += 1
    except OSError as error:
        print(error.strerror)
    print(made)
"""
_NAMES = r"""
    import os
    os.chdir(b"/out")
    for name in (b"-rf", b"...", b"new\nline", b"\x1b[2J", b"\xff\xfe", b"back\\slash", b"$(reboot)", b"n" * 255):
        open(name, "x").close()
    os.makedirs(b"/".join([b"d" * 200] * 3))
    open(b"/".join([b"d" * 200] * 3 + [b"x"]), "x").close()
"""
_ODD = dict.fromkeys(["-rf", "...", "new\nline", "\x1b[2J", "back\\slash", "$(reboot)", "n" * 255], 0)
_DEEP = ("d" * 200 + "/") * 3
_BAD_NAMES = {"\\xff\\xfe": "not UTF-8", _DEEP[:512]: "relative path", (_DEEP + "x")[:512]: "relative path"}
_HOLES = """
    truncate -s 1099511627776 /out/huge
    i=0; while [ $i -lt 900 ]; do truncate -s 104857600 /out/$i; i=$((i+1)); done
    stat -c %s /out/huge
"""
_LINKS = "ln -s /etc/passwd /out/l; ln -s / /out/d; ln /etc/passwd /out/h; true"
ARTIFACTS = [
    Program(
        "artifacts", "fills /out", leaving(shell("cat /dev/zero >/out/f; wc -c </out/f"), 8 * MIB), must="bounded",
        proof=_keeps({"f": 8 * MIB}, {}),
    ),
    Program("artifacts", "10^5 files", leaving(python(_FILES)), must="bounded in inodes and in what is kept", proof=_many),
    Program(
        "artifacts", "links to /etc/passwd", leaving(shell(_LINKS)),
        must="never followed", proof=_keeps({}, {"l": "symbolic link", "d": "symbolic link"}),
    ),
    Program(
        "artifacts", "a hard link", leaving(shell("echo x >/out/a; ln /out/a /out/b")), must="kept once",
        proof=_keeps({"a": 2}, {"b": "hard link"}),
    ),
    Program(
        "artifacts", "a FIFO", leaving(shell("mkfifo /out/f; echo x >/out/g")), must="not waited for",
        proof=_keeps({"g": 2}, {"f": "FIFO"}),
    ),
    Program("artifacts", "a device", leaving(shell("mknod /out/d b 8 0")), "failed", "exit", 1, "EPERM", _keeps({}, {})),
    Program("artifacts", "files of 1 TiB and of 88 GiB, all holes", leaving(shell(_HOLES)), must="hardly read", proof=_holes),
    Program(
        "artifacts", "hostile names", leaving(python(_NAMES)), must="names of use are kept", proof=_keeps(_ODD, _BAD_NAMES),
    ),
    Program(
        "artifacts", "a file that nobody may read", leaving(shell("echo x >/out/a; chmod 0 /out/a")), must="kept",
        proof=_keeps({"a": 2}, {}),
    ),
    Program(
        "artifacts", "runs out of time", leaving(shell("echo x >/out/a; sleep 60", timeout=1)), "timed_out", "timeout", 143,
        "kept", _keeps({"a": 2}, {}),
    ),
]  # fmt: skip
