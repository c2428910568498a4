"""The client of MongoDB with limited waits. Knows the options of the library, but no port."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.decimal128 import Decimal128
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import ConfigurationError
from pymongo.uri_parser import split_options

from orchestrator.errors import SettingsError
from orchestrator.settings.settings import Settings
from orchestrator.urls import split

T = TypeVar("T")
Mongo = MongoClient[Mapping[str, Any]]
AsyncMongo = AsyncMongoClient[Mapping[str, Any]]
_MONGO_MS: Mapping[str, Any] = {"timeoutMS": 5000, "connectTimeoutMS": 3000}
_LASTING: Mapping[str, Any] = {"w": "majority", "journal": True, "readConcernLevel": "majority"}
"""A failover undoes no write that was confirmed, and no write that was read."""


class _Decimals(TypeDecoder):
    """Reads Decimal128 as the number that other drivers store. Some drivers store every number as Decimal128."""

    bson_type = Decimal128

    def transform_bson(self, value: Decimal128) -> int | float:
        """An integer if it is whole and BSON has room for it, otherwise the nearest double."""
        number = value.to_decimal()
        if number.is_nan():
            return float("nan")
        whole = abs(number) < 1 << 63 and number == number.to_integral_value()
        return int(number) if whole else float(number)


def mongo_client(settings: Settings) -> Mongo:
    """Connects at its first use. A call ends within 5 s. Datetimes have a time zone. Raises SettingsError on a bad URI.

    Time limits in the URI replace these, for a server that is slow or far away. No option replaces the waits of each write for
    a majority and its journal, or the reads of what a majority has. A date or a text that Python cannot hold is read as the
    nearest value, so that one such document does not hide all others.
    """
    return _made(MongoClient, settings)


def async_mongo_client(settings: Settings) -> AsyncMongo:
    """The same for asyncio."""
    return _made(AsyncMongoClient, settings)


def _made(kind: Callable[..., T], settings: Settings) -> T:
    try:
        return kind(
            settings.mongo_uri,
            tz_aware=True,
            datetime_conversion="DATETIME_CLAMP",
            unicode_decode_error_handler="replace",
            uuidRepresentation="unspecified",
            type_registry=TypeRegistry([_Decimals()]),
            connect=False,
            **_LASTING,
            **{name: limit for name, limit in _MONGO_MS.items() if name.casefold() not in _named(settings.mongo_uri)},
        )
    except OSError:
        raise SettingsError("MONGO_URI: a file that the given value names cannot be read") from None
    except (ConfigurationError, ValueError):
        raise SettingsError("MONGO_URI: the given value is not a URI such as mongodb://host:27017") from None


def check_mongo(settings: Settings) -> None:
    """Have the library read the URI, without a connection.

    If the library ignores an option with a warning, this is an error here. Its other warnings are not about the URI. Raises
    SettingsError.
    """
    url = split(settings.mongo_uri)
    options = url.query.split("&") if url else []
    for option in options:
        if "=" in option and not _is_usable(option):
            name = option.partition("=")[0]
            raise SettingsError(f"MONGO_URI: the given value has the option {name} with a value that cannot be used")
    mongo_client(settings).close()


def _is_usable(option: str) -> bool:
    """Whether the library accepts an option as it is written. An unreadable file is reported when the client is made."""
    try:
        split_options(option, warn=False)
    except OSError:
        return True
    except (ConfigurationError, TypeError, ValueError):
        return False
    return True


def _named(uri: str) -> frozenset[str]:
    """The options in a URI, in lower case."""
    parts = split(uri)
    return frozenset(name.casefold() for name, _ in parse_qsl(parts.query)) if parts else frozenset()
