"""What an image says of itself, and what is in it, as far as the container of a task depends on it."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from attrs import field, frozen

_NO_HOMES = frozenset({"", "/", "/nonexistent"})
_PASSWD, _DIGITS = 7, 10
"""Fields of a line of /etc/passwd, and the most digits of a uid."""


@frozen
class Account:
    """A line of the image's /etc/passwd."""

    name: str
    uid: int
    home: str


@frozen
class Image:
    """An image as the engine inspects it."""

    id: str = ""
    volumes: tuple[str, ...] = ()
    """The paths for which it wants volumes."""
    labels: tuple[str, ...] = ()
    """The names of the labels that it gives its containers."""
    working_dir: str = ""
    user: str = ""
    """Whom it runs as unless told otherwise: a name or a number, with or without a group."""
    home: str = ""
    """HOME among its variables."""
    filled: Mapping[str, int] = field(factory=dict)
    """Those of its volumes that have something in them, with its bytes."""
    accounts: tuple[Account, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, reading: Mapping[str, Any]) -> Self:
        """From the engine's answer."""
        config = reading.get("Config") or {}
        variables = dict(each.partition("=")[::2] for each in config.get("Env") or ())
        return cls(
            reading.get("Id", ""),
            tuple(config.get("Volumes") or ()),
            tuple(config.get("Labels") or ()),
            config.get("WorkingDir") or "",
            config.get("User") or "",
            variables.get("HOME", ""),
        )

    def is_home_of(self, uid: int) -> bool:
        """Whether the HOME that a program of this user gets here is the user's own."""
        own = next((account for account in self.accounts if account.uid == uid), Account("", uid, ""))
        if not self.home:
            return own.home not in _NO_HOMES
        user = self.user.partition(":")[0] or "0"
        return self.home == own.home or user in {own.name, str(uid)}


UNKNOWN = Image()


def accounts(passwd: str) -> Iterator[Account]:
    """The accounts in the text of an /etc/passwd; lines that are none are left out."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == _PASSWD and fields[2].isdecimal() and len(fields[2]) <= _DIGITS:
            yield Account(fields[0], int(fields[2]), fields[5])
