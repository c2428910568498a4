"""Which images the patterns of an allow-list let through. Pure; knows how references are written, no registry."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

_DOCKER_HUB = ("docker.io/", "index.docker.io/", "library/")
_LATEST = "latest"


def allowed(image: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern lets the image through; ``*`` stands for anything, slashes included.

    A pattern without tag and digest is for all of them: ``python`` lets ``python:3.12`` through. One with a tag is for that tag
    without a digest or with any, where the pattern ends in ``*``; one with ``@`` lets only images through that are pinned.
    ``docker.io/library/python`` is ``python``.
    """
    forms = _forms(_short(image))
    return any(fnmatchcase(form, _short(pattern)) for pattern in patterns for form in forms)


def _forms(image: str) -> set[str]:
    """The ways to write the reference, from its bare name to the whole."""
    tagged, _, digest = image.partition("@")
    folder, slash, last = tagged.rpartition("/")
    name, _, tag = last.partition(":")
    bare = folder + slash + name
    tagged = f"{bare}:{tag}" if tag else "" if digest else f"{bare}:{_LATEST}"
    return {form for form in (bare, tagged, digest and f"{bare}@{digest}", digest and image) if form}


def _short(name: str) -> str:
    for prefix in _DOCKER_HUB:
        name = name.removeprefix(prefix)
    return name
