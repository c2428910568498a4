"""What the URLs of MongoDB and Redis may say: their form, and by an allow-list their options. Each parser raises ValueError.

A message repeats names of options alone, and values of those that have one value: neither can be a piece of a password.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from attrs import frozen

_Check = Callable[[str], bool]
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)?(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_TOKEN = re.compile(r"AWS_SESSION_TOKEN(?::|%3[Aa])([^,&]+)")
_PAGE = "docs/reference/settings.md"
_ESCAPE = "in a user name or password, write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"


class Url(NamedTuple):
    """The parts of a URL as they are written; ``at`` is the @ between user and hosts."""

    scheme: str
    user: str
    at: str
    hosts: str
    path: str
    query: str


def split(text: str) -> Url | None:
    """The parts as the libraries tell them apart; None for what is no URL, or has a fragment."""
    found = _URL.fullmatch(text)
    if found is None:
        return None
    user, at, hosts = found["authority"].rpartition("@")
    return Url(found["scheme"], user, at, hosts, found["path"] or "", found["query"] or "")


def place(url: str) -> str:
    """Where a server is, without the secrets in its URL: hosts and ports, or the path when it has no host."""
    parts = split(url)
    return (parts.hosts or parts.path) if parts else "?"


def secrets(text: str) -> Iterator[str]:
    """The passwords in a URL, and what proves a session on AWS, as they are written."""
    if url := split(text):
        yield url.user.partition(":")[2]
        yield from (value for name, value in parse_qsl(url.query) if name.casefold().endswith("password"))
        yield from (found for text in (url.query, unquote(url.query)) for found in _TOKEN.findall(text))


@frozen
class Option:
    """What the value of an option of a URL may be; ``phrase`` says so to people."""

    phrase: str
    check: _Check


@frozen
class Only:
    """An option that may have one value alone, written out; ``why`` says what any other would do."""

    value: str
    why: str


@frozen
class Form:
    """What one kind of URL looks like; ``options`` by name, in lower case if ``folds``, because then case does not matter."""

    phrase: str
    schemes: frozenset[str]
    options: Mapping[str, Option | Only]
    hosts: _Check
    user: _Check
    path: _Check
    folds: bool = False

    def __call__(self, text: str) -> str:
        """The URL as it was given. Raises ValueError that says what the URL has to be."""
        scheme, sep, _ = text.partition("://")
        if not sep or scheme not in self.schemes:
            raise ValueError(self.phrase)
        url = split(text) if text.isprintable() else None
        if url is None or not self._fits(url):
            raise ValueError(f"{self.phrase}; {_ESCAPE}" if "@" in text else self.phrase)
        for problem in self._problems(url.query):
            raise ValueError(problem)
        return text

    def _fits(self, url: Url) -> bool:
        misplaced = not url.at and "@" in f"{url.path}{url.query}"
        return not misplaced and self.hosts(url.hosts) and self.user(url.user) and self.path(url.path)

    def _problems(self, query: str) -> Iterator[str]:
        seen = set()
        for given, value in parse_qsl(query, keep_blank_values=True):
            name = given.casefold() if self.folds else given
            if name not in self.options:
                shown = f"the option {given}" if _NAME.fullmatch(given) else "an option of another name"
                yield f"free of {shown}; {_near(name, self.options)}allowed are {_allowed(self.options)}"
            elif name in seen:
                yield f"clear: it has the option {given} twice"
            elif problem := _problem(given, value, self.options[name]):
                yield problem
            seen.add(name)
        if ";" in query:
            yield f"free of ';', which ends an option; write it as %3B, and & between options; {_ESCAPE}"


def _problem(name: str, value: str, option: Option | Only) -> str | None:
    if isinstance(option, Only):
        allowed = f"leave {name} out, or write {name}={option.value}"
        return None if value == option.value else f"safe with {name}={value[:_SHOWN]}: {option.why}; {allowed}"
    return None if option.check(value) else f"well-formed: its option {name} has to be {option.phrase}"


def _near(name: str, options: Iterable[str]) -> str:
    """What may have been meant: an option of which this is the beginning, or one that is spelled alike."""
    found = [option for option in options if name and option.startswith(name)] or get_close_matches(name, options)
    return f"near it is {' or '.join(sorted(found))}; " if found else ""


def _allowed(options: Mapping[str, Option | Only]) -> str:
    return ", ".join(sorted(options)) if len(options) <= _NAMED else f"those on the page {_PAGE}"


def is_host(name: str) -> bool:
    """Whether a resolver can be asked for this name; it raises on labels that are empty or too long."""
    try:
        return bool(name.rstrip(".").encode("idna"))
    except UnicodeError:
        return False


def _is_host_and_port(text: str) -> bool:
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    named = found["name"] is None or found["name"].startswith("[") or is_host(found["name"])
    return named and (found["port"] is None or 0 < int(found["port"]) < 1 << 16)


def _are_mongo_hosts(text: str) -> bool:
    return all(host and host[0] != ":" and _is_host_and_port(host) for host in text.split(","))


def _matches(pattern: str) -> _Check:
    whole = re.compile(pattern)
    return lambda value: whole.fullmatch(value) is not None


def _between(low: float, high: float, pattern: str = r"[0-9]{1,9}") -> _Check:
    is_number = _matches(pattern)
    return lambda value: is_number(value) and low <= float(value) <= high


_SHOWN = 40
_NAMED = 20
_FLAG = Option("true or false", _matches("true|false"))
_WORD = Option("a word", _matches(r"\S+"))
_TEXT = Option("a text", _matches(r".+"))
_COUNT = Option("a whole number", _between(0, 1e9))
_MS = Option("a whole number of milliseconds from 100 to 3600000", _between(100, 3_600_000))
_PROVEN = "a failover may undo a write that no majority has"
MONGO_OPTIONS: Mapping[str, Option | Only] = {
    **dict.fromkeys(
        (
            "directconnection", "loadbalanced", "retryreads", "retrywrites", "ssl", "tls", "tlsallowinvalidcertificates",
            "tlsallowinvalidhostnames", "tlsdisableocspendpointcheck", "tlsinsecure",
        ),
        _FLAG,
    ),
    **dict.fromkeys(
        ("connecttimeoutms", "serverselectiontimeoutms", "sockettimeoutms", "timeoutms", "waitqueuetimeoutms"), _MS
    ),
    **dict.fromkeys(
        (
            "localthresholdms", "maxconnecting", "maxidletimems", "minpoolsize", "srvmaxhosts", "wtimeoutms",
            "zlibcompressionlevel",
        ),
        _COUNT,
    ),
    **dict.fromkeys(("authmechanism", "authsource", "replicaset", "srvallowedhostssuffix", "srvservicename"), _WORD),
    **dict.fromkeys(("appname", "tlscafile", "tlscertificatekeyfile", "tlscertificatekeyfilepassword", "tlscrlfile"), _TEXT),
    "authmechanismproperties": Option(
        "NAME:VALUE, or several with commas", _matches(r"[A-Z_]+:[^\s,]+(,[A-Z_]+:[^\s,]+)*")
    ),
    "compressors": Option(
        "snappy, zlib or zstd, or several with commas", _matches(r"(snappy|zlib|zstd)(,(snappy|zlib|zstd))*")
    ),
    "heartbeatfrequencyms": Option("a whole number of milliseconds from 500 to 3600000", _between(500, 3_600_000)),
    "maxpoolsize": Option("a whole number of 10 or more", _between(10, 1e9)),
    "servermonitoringmode": Option("auto, poll or stream", _matches("auto|poll|stream")),
    "uuidrepresentation": Option(
        "standard, unspecified, pythonLegacy, javaLegacy or csharpLegacy",
        _matches("standard|unspecified|(python|java|csharp)Legacy"),
    ),
    "w": Only("majority", _PROVEN),
    "journal": Only("true", "a crash may undo a write that is in no journal"),
    "maxstalenessseconds": Only("-1", "it is about secondaries, and none is read"),
    "readconcernlevel": Only("majority", "a failover may undo what is read and no majority has"),
    "readpreference": Only("primary", "a secondary may not have yet what was stored"),
}  # fmt: skip
_FRACTION = r"[0-9]{1,9}(\.[0-9]{1,20})?"
REDIS_OPTIONS: Mapping[str, Option | Only] = {
    "client_name": Option("a word of printable ASCII", _matches("[!-~]+")),
    "db": _COUNT,
    "health_check_interval": Option("a whole number of seconds up to 3600", _between(0, 3600)),
    "protocol": Option("2 or 3", _matches("[23]")),
    "socket_connect_timeout": Option("a number of seconds from 0.1 to 3600", _between(0.1, 3600, _FRACTION)),
    "socket_keepalive": Option("true or false", _matches("true|false")),
    "socket_timeout": Option("a number of seconds from 5 to 3600, more than any command waits", _between(5, 3600, _FRACTION)),
    "ssl_ca_certs": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_cert_reqs": Option("none, optional or required", _matches("none|optional|required")),
    "ssl_certfile": _TEXT,
    "ssl_check_hostname": _FLAG,
    "ssl_keyfile": _TEXT,
}
mongo = Form(
    "a URI such as mongodb://host:27017",
    frozenset({"mongodb", "mongodb+srv"}),
    MONGO_OPTIONS,
    hosts=_are_mongo_hosts,
    user=_matches(r"([^:@]+(:[^:@]*)?)?"),
    path=_matches(r"(/[^/@]*)?"),
    folds=True,
)
_redis = Form(
    "a URL such as redis://host:6379/0",
    frozenset({"redis", "rediss"}),
    REDIS_OPTIONS,
    hosts=_is_host_and_port,
    user=lambda _: True,
    path=_matches("(/[0-9]{0,9})?"),
)
_redis_socket = Form(
    "a URL such as unix:///run/redis.sock?db=0",
    frozenset({"unix"}),
    REDIS_OPTIONS,
    hosts=lambda text: not text,
    user=lambda _: True,
    path=_matches(r"/[^@]+"),
)


def redis(text: str) -> str:
    """The URL of a Redis server."""
    return _redis_socket(text) if text.startswith("unix:") else _redis(text)
