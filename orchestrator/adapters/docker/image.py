"""The facts of an image on which the container of a task depends: its configuration and its content."""

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
    """The paths of its volumes."""
    labels: tuple[str, ...] = ()
    """The names of its labels, which its containers get."""
    working_dir: str = ""
    user: str = ""
    """Its default user: a name or a number, with or without a group."""
    home: str = ""
    """HOME among its variables."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    filled: Mapping[str, int] = field(factory=dict)
    """Its volumes with content, and the bytes in each."""
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
            tuple(config.get("Entrypoint") or ()),
            tuple(config.get("Cmd") or ()),
        )

    def is_home_of(self, uid: int) -> bool:
        """Whether HOME in this image is the home of this user."""
        own = next((account for account in self.accounts if account.uid == uid), Account("", uid, ""))
        if not self.home:
            return own.home not in _NO_HOMES
        user = self.user.partition(":")[0] or "0"
        return self.home == own.home or user in {own.name, str(uid)}


UNKNOWN = Image()


def accounts(passwd: str) -> Iterator[Account]:
    """The accounts in the text of an /etc/passwd; other lines are left out."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == _PASSWD and fields[2].isdecimal() and len(fields[2]) <= _DIGITS:
            yield Account(fields[0], int(fields[2]), fields[5])
