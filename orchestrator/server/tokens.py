"""Who may do what: tokens, of which a file has the hashes, and what each of them allows."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen

from orchestrator.errors import SettingsError
from orchestrator.log import logger
from orchestrator.settings.settings import Settings
from orchestrator.task.validation import shown

_PREFIX = "orc_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HASH = re.compile("[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token allows; each one allows all of those before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        """Whether it is enough for what needs the other one."""
        ranks = [*Scope]
        return ranks.index(self) >= ranks.index(needed)


@frozen
class Caller:
    """The one who asks: the name of the token, and its scope. ``by_cookie``: a browser sent it without being told to."""

    name: str
    scope: Scope
    by_cookie: bool = False
    digest: str = field(default="", repr=False, eq=False)


@frozen
class _Entry:
    name: str
    scope: Scope
    digest: str

    def line(self) -> str:
        return f"{self.name} {self.scope} {self.digest}"

    def caller(self, *, by_cookie: bool) -> Caller:
        return Caller(self.name, self.scope, by_cookie, self.digest)

    def session(self, key: bytes) -> str:
        return hmac.new(key, self.digest.encode(), hashlib.sha256).hexdigest()


class Tokens:
    """The tokens of a file. Only their hashes are known here.

    ``key`` is what sessions are made with: the same one after a restart lets them go on, and without one they do not.
    ``path`` is the file, which may change.
    """

    def __init__(self, entries: Iterable[_Entry] = (), key: bytes = b"", path: Path | None = None) -> None:
        self._entries = tuple(entries)
        self._key = key or secrets.token_bytes(32)
        self._path = path
        self._read_as = self._seen_as = self._refused_as = _look(path)
        self._answers: dict[object, tuple[Caller, Callable[[], None]]] = {}

    @property
    def are_needed(self) -> bool:
        """Whether there is a file of tokens. Without one, all may be done by all who reach the server."""
        return bool(self._entries) or self._path is not None

    def look_again(self) -> None:
        """Read the file again if it has changed and is complete: it has been the same for two looks.

        A file that cannot be read changes nothing, and is tried again at each look: the reason may be the server's own, such as
        too many open files. A file without a token lets nobody in. Answers to a caller whose token is gone end.
        """
        if self._path is None:
            return
        seen, self._seen_as = self._seen_as, _look(self._path)
        if self._seen_as == self._read_as or self._seen_as != seen:
            return
        try:
            self._entries = _read(self._path)
        except SettingsError as error:
            if self._refused_as != self._seen_as:
                logger.error("the tokens stay as they were: {}", error)
            self._refused_as = self._seen_as
            return
        self._read_as = self._seen_as
        logger.info("API_TOKENS: {} has changed, and has {} tokens", self._path, len(self._entries))
        for caller, end in [*self._answers.values()]:
            if not self.admits(caller):
                end()

    def admits(self, caller: Caller) -> bool:
        """Whether the caller's token is still in the file, with its scope."""
        known = {(entry.name, entry.scope, entry.digest) for entry in self._entries}
        return not self.are_needed or (caller.name, caller.scope, caller.digest) in known

    @contextmanager
    def ending(self, caller: Caller, end: Callable[[], None]) -> Iterator[None]:
        """A block in which ``end`` is called as soon as the caller's token is gone."""
        block = object()
        self._answers[block] = (caller, end)
        try:
            yield
        finally:
            del self._answers[block]

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; None when nobody's. Takes the same time whichever it is."""
        entry = self._found(token)
        return entry.caller(by_cookie=False) if entry else None

    def session(self, token: str) -> str | None:
        """What a cookie has in place of the token, which cannot be told from it; None when the token is nobody's."""
        entry = self._found(token)
        return entry.session(self._key) if entry else None

    def caller_of(self, session: str) -> Caller | None:
        """Whose session it is; None when nobody's, or when its token is not in the file any more."""
        given = session.encode("utf-8", "surrogatepass")
        found = [entry for entry in self._entries if hmac.compare_digest(entry.session(self._key).encode(), given)]
        return found[0].caller(by_cookie=True) if found else None

    def _found(self, token: str) -> _Entry | None:
        digest = _digest(token)
        found = [entry for entry in self._entries if hmac.compare_digest(entry.digest, digest)]
        return found[0] if found else None

    @classmethod
    def load(cls, path: Path, key: bytes = b"") -> "Tokens":
        """Those of a file. Raises SettingsError that names the line; a file without a token is refused, too."""
        tokens = cls(key=key, path=path)
        tokens._entries = _read(path)
        if not tokens._entries:
            raise SettingsError(f"API_TOKENS: {path} has no token: `orchestrator token NAME SCOPE` prints a line for it")
        return tokens


def _look(path: Path | None) -> object:
    """What changes with the file; None if it is not there."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    if found is None:
        return None
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return found.st_dev, found.st_ino, found.st_size, times, found.st_mode, found.st_uid, found.st_gid


def _read(path: Path) -> tuple[_Entry, ...]:
    """The tokens of a file. Raises SettingsError."""
    try:
        lines, mode = path.read_text(encoding="utf-8").splitlines(), path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"API_TOKENS: {path} cannot be read: {reason}") from None
    if mode & 0o022:
        raise SettingsError(f"API_TOKENS: {path} may be written by other users: chmod it to 600")
    return tuple(_entries(path, lines))


def session_key(settings: Settings) -> bytes:
    """From the passwords of the deployment: who knows the hashes of the tokens alone can make no session."""
    passwords = (settings.mongo_uri, settings.redis_url, settings.minio_access_key, settings.minio_secret_key)
    return hashlib.sha256("\0".join(("session", *passwords)).encode()).digest()


def new_token(name: str, scope: Scope) -> tuple[str, str]:
    """A new token, and the line that stands for it in the file. Raises ValueError that says what a name may be."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is not a name of 1 to 63 letters, digits, hyphens, dots and underscores")
    token = f"{_PREFIX}{secrets.token_urlsafe(32)}"
    return token, _Entry(name, scope, _digest(token)).line()


def _digest(token: str) -> str:
    """A token has 256 random bits, so a plain hash cannot be searched for it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _entries(path: Path, lines: Iterable[str]) -> Iterator[_Entry]:
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = _entry(f"API_TOKENS: {path}, line {number}", line.split())
        if entry.name in names:
            raise SettingsError(f"API_TOKENS: {path}, line {number}: the name {entry.name} is given twice")
        names.add(entry.name)
        yield entry


def _entry(place: str, words: list[str]) -> _Entry:
    """The message never repeats the hash: somebody may have written the token there."""
    match words:
        case [name, scope, digest] if _NAME.fullmatch(name) and scope in [*Scope] and _HASH.fullmatch(digest):
            return _Entry(name, Scope(scope), digest)
    raise SettingsError(f"{place}: it is not a line `NAME read|submit|admin SHA-256 in hex`")
