"""The registry of an image: whether the engine may ask it, and which parts of its answers a task may see.

A task chooses the image, so it chooses the host that the engine asks. An answer can come from any service that the engine's
host reaches.
"""

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from attrs import frozen

from orchestrator.errors import ImageUnavailable
from orchestrator.task.image_policy import matches

HUB = "docker.io"
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "169.254.169.254", "fd00:ec2::254", "fd20:ce::254"))
)
"""Known addresses at which clouds give machines their secrets. Most others are link-local."""


@frozen
class PullRules:
    """The limits of a pull.

    ``timeout``: seconds; a silence of this length always ends a pull. ``most``: bytes of layers, as they are sent.
    ``registries``: patterns of hosts with their ports; empty: any host except those with an address of the engine's own machine
    or of a cloud's metadata service. ``image_ttl``: seconds after which a pulled and unused image may be removed; 0: never.
    """

    timeout: float = 300.0
    most: int = 10 << 30
    registries: Sequence[str] = ("*",)
    image_ttl: float = 0.0


def registry(image: str) -> str:
    """The host that an engine would ask for the image, with its port if one is named."""
    first, slash, _ = image.partition("/")
    named = slash and (set(".:") & set(first) or first.lower() != first or first == "localhost")
    return first.lower() if named else HUB


def check(image: str, patterns: Iterable[str]) -> None:
    """Raise ImageUnavailable unless the image's registry may be asked."""
    host = registry(image)
    if allowed := [*patterns]:
        if not any(matches(host, pattern.lower()) for pattern in allowed):
            raise ImageUnavailable(f"image {image!r} is not pulled: its registry {host} is not one of REGISTRIES_ALLOWED")
    elif host != HUB and (why := _forbidden(host)):
        raise ImageUnavailable(f"image {image!r} is not pulled: its registry {host} has {why}; REGISTRIES_ALLOWED may allow it")


def _forbidden(host: str) -> str | None:
    """The problem with an address of the host, or None. A host without an address here is left to the engine."""
    return next(filter(None, map(_objection, _addresses(host))), None)


def _addresses(host: str) -> list[IPv4Address | IPv6Address]:
    try:
        named = urlsplit(f"//{host}").hostname or ""
        found = socket.getaddrinfo(named, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return []
    return [ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


def _objection(address: IPv4Address | IPv6Address) -> str | None:
    inner = getattr(address, "ipv4_mapped", None) or address
    kinds = {
        "an address of a metadata service": inner in _METADATA,
        "a loopback address": inner.is_loopback or inner.is_unspecified,
        "a link-local address": inner.is_link_local,
        "a multicast address": inner.is_multicast,
    }
    return next((kind for kind, holds in kinds.items() if holds), None)


def told(text: str) -> str:
    """The part of an engine's answer to a pull that a task may see: a sentence of this package, and the HTTP status if any."""
    sentence = next((sentence for pattern, sentence in _SENTENCES if pattern.search(text)), "the pull failed")
    status = _STATUS.search(text)
    return f"{sentence} (HTTP {status[1]})" if status else sentence


def is_final(text: str) -> bool:
    """Whether a new try would not help."""
    return bool(_FOR_GOOD.search(text))


_STATUS = re.compile(r"(?:status(?: code)?:? |HTTP )([1-5][0-9]{2})\b", re.IGNORECASE)
_SENTENCES = tuple(
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        ("no matching manifest", "the registry does not have it for this platform"),
        ("invalid reference|repository name|index name|invalid tag", "this cannot be the name of an image"),
        ("pull access denied", "there is no such image in the registry, or it needs a login"),
        ("unauthorized|no basic auth credentials|403 forbidden|(?<!permission )denied", "the registry refuses access"),
        ("manifest unknown|name unknown|not found|does not exist", "the registry has no such image"),
        ("invalid checksum|digest mismatch|filesystem layer verification", "what the registry sent has another digest"),
        ("toomanyrequests|too many requests", "the registry takes no more requests for now"),
        ("no such host|server misbehaving|lookup ", "the registry's name cannot be resolved"),
        ("connection refused", "the registry refuses connections"),
        ("x509|tls:|server gave HTTP response", "the registry's certificate or TLS is not accepted"),
        ("no space left", "the engine's disk is full"),
        ("timeout|deadline exceeded|timed out", "the registry does not answer in time"),
        ("network is unreachable|no route to host|permission denied", "the registry cannot be reached"),
        ("EOF|reset by peer|broken pipe", "the connection to the registry was cut"),
        ("HTTP status|HTTP [1-5][0-9]{2}|response body", "the registry does not answer as one should"),
    )
)
_FOR_GOOD = re.compile(
    "not found|manifest unknown|name unknown|no matching manifest|does not exist|invalid reference|invalid checksum"
    "|repository name|index name|invalid tag|unauthorized|no basic auth credentials|403 forbidden|(?<!permission )denied",
    re.IGNORECASE,
)
"""The messages of registries and the engine when a new try does not help. A missing permission is a problem on the way."""
