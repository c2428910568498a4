"""Which images the patterns of an allow-list let through. Pure; knows how references are written, no registry."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

_DOCKER_HUB = ("docker.io/", "index.docker.io/", "library/")
_LATEST = "latest"
_ADDRESS = re.compile(r"^\[(?=[0-9a-fA-F:*]*:)")
"""The bracket before an IPv6 address, which stands for itself in a pattern."""


def allowed(image: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern lets the image through; ``*`` stands for anything, slashes included.

    A pattern without tag and digest is for all of them: ``python`` lets ``python:3.12`` through. One with a tag, be it ``*``,
    lets no image through that is pinned, because engines go by the digest and ignore the tag beside it; one with ``@`` lets
    through only what is pinned. ``docker.io/library/python`` is ``python``.
    """
    short = _short(image)
    return any(matches(form, pattern) for pattern in map(_short, patterns) for form in _forms(short, pinning="@" in pattern))


def matches(name: str, pattern: str) -> bool:
    """Whether a name is what a pattern stands for."""
    return fnmatchcase(name, _ADDRESS.sub("[[]", pattern))


def _forms(image: str, *, pinning: bool) -> set[str]:
    """The ways to write the reference that a pattern may be held against; ``pinning`` is one with ``@``."""
    tagged, _, digest = image.partition("@")
    folder, slash, last = tagged.rpartition("/")
    name, _, tag = last.partition(":")
    bare = folder + slash + name
    if digest:
        return {f"{bare}@{digest}", image} if pinning else {bare}
    return {bare, f"{bare}:{tag or _LATEST}"}


def _short(name: str) -> str:
    for prefix in _DOCKER_HUB:
        name = name.removeprefix(prefix)
    return name
