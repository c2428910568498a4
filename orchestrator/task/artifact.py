"""What a task asked to be kept of its folder /out, as its document has it. It knows no archive and no storage."""

from attrs import frozen

WHOLE = "."
"""The path that stands for all of /out."""


@frozen
class Artifact:
    """One file in object storage: its path below /out, ``bytes`` and ``sha256`` (lower-case hex) of the object."""

    path: str
    key: str
    bytes: int
    sha256: str


@frozen
class Refusal:
    """Something below /out that was asked for and is not kept, and why in words. The path is shown, never used."""

    path: str
    why: str
