"""Which URLs of MongoDB and Redis are taken, by their options, and what is said of the others."""

import warnings
from contextlib import closing, suppress

import pytest
from bson import decode, encode
from bson.binary import UUID_SUBTYPE, Binary
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.mongo import client as mongo_module
from orchestrator.adapters.mongo.client import check_mongo, mongo_client
from orchestrator.adapters.redis.client import check_redis, redis_client
from orchestrator.errors import SettingsError
from orchestrator.settings.settings import Settings
from orchestrator.urls import mongo, redis, secrets

ESCAPE = "in a user name or password, write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
URLS = {"MONGO_URI": "mongodb://h/", "REDIS_URL": "redis://h/0"}


def complaint(name: str, value: str) -> str:
    """What is said about one setting; empty when it is taken."""
    try:
        Settings.load({name: value})
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017/?directConnection=true&retryWrites=false",
        "mongodb://u:p%40ss@a:1,b,[::1]:3/tasks?replicaSet=rs&authSource=admin&tls=true",
        "mongodb+srv://u:p@h.example/?retryWrites=true&w=majority&appName=Cluster0",
        "mongodb://u:p@h/?appName=a@b",
        "mongodb://%2Frun%2Fmongodb.sock",
        "mongodb://u:p@h/?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:mongodb,CANONICALIZE_HOST_NAME:forward",
        "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:a%2Fb%3D",
        "mongodb+srv://h.example/?srvAllowedHostsSuffix=.example",
        "mongodb://h/?uuidRepresentation=standard&maxStalenessSeconds=-1",
        "mongodb://h/?timeoutMS=60000&CONNECTTIMEOUTMS=45000&readPreference=primary",
    ],
)
def test_uris_of_mongodb_that_people_have_are_taken(uri: str) -> None:
    """By the setting and by the library."""
    assert complaint("MONGO_URI", uri) == ""
    check_mongo(Settings(mongo_uri=uri))


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:p@ss@h:6379/0",
        "redis://u:a:b@[::1]:1",
        "rediss://h/1?ssl_cert_reqs=none&socket_timeout=60",
        "unix:///run/redis.sock?db=2",
        "unix://u:p@/run/redis.sock",
        "redis://h?protocol=2&health_check_interval=5&client_name=worker&socket_keepalive=true",
    ],
)
def test_urls_of_redis_that_people_have_are_taken(url: str) -> None:
    """By the setting and by the library."""
    assert complaint("REDIS_URL", url) == ""
    check_redis(Settings(redis_url=url))


@pytest.mark.parametrize(
    "option",
    [
        "decode_responses=true",
        "decode_responses=false",
        "encoding=latin-1",
        "retry_on_timeout=true",
        "max_connections=1",
        "password=hunter2",
        "foo=bar",
        "DB=1",
        "db=x",
        "db=1&db=2",
        "socket_timeout=0.5",
        "socket_timeout=4",
        "socket_timeout=inf",
        "socket_connect_timeout=0",
        "legacy_responses=false",
        "%64ecode_responses=true",
    ],
)
def test_an_option_of_redis_that_would_break_the_worker_is_refused(option: str) -> None:
    """Text in place of bytes loses queue entries, a command sent twice takes two, a short wait cuts the blocking read."""
    said = complaint("REDIS_URL", f"redis://:hunter2@h/0?{option}")
    assert said.startswith("REDIS_URL: the given value is not ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("name", "option", "sentence"),
    [
        ("REDIS_URL", "socket_timeout=1", "its option socket_timeout has to be a number of seconds from 5 to 3600"),
        ("REDIS_URL", "decode_responses=1", "not free of the option decode_responses; allowed are client_name, db, "),
        ("REDIS_URL", "db=1&db=2", "not clear: it has the option db twice"),
        (
            "MONGO_URI",
            "readPreference=nearest",
            "safe with readPreference=nearest: a secondary may not have yet what was stored",
        ),
        (
            "MONGO_URI",
            "w=0",
            "safe with w=0: a failover may undo a write that no majority has; leave w out, or write w=majority",
        ),
        ("MONGO_URI", "timeoutMS=0", "its option timeoutMS has to be a whole number of milliseconds from 100 to 3600000"),
        (
            "MONGO_URI",
            "tz_aware=false",
            "not free of the option tz_aware; allowed are those on the page docs/reference/settings.md",
        ),
        ("MONGO_URI", "j=true", "not free of the option j; near it is journal; allowed are those on the page docs/"),
        ("MONGO_URI", "j=false", "not free of the option j; near it is journal; allowed are those on the page docs/"),
        ("MONGO_URI", "timeout=500", "not free of the option timeout; near it is timeoutms; allowed are those on the page"),
        (
            "MONGO_URI",
            "maxStalenessSeconds=90",
            "safe with maxStalenessSeconds=90: it is about secondaries, and none is read; leave maxStalenessSeconds out, or ",
        ),
        ("MONGO_URI", "uuidRepresentation=junk", "its option uuidRepresentation has to be standard, unspecified, pythonLegacy"),
        ("MONGO_URI", "authMechanismProperties=A", "its option authMechanismProperties has to be NAME:VALUE, or several"),
    ],
)
def test_the_sentence_names_the_option_and_what_is_allowed(name: str, option: str, sentence: str) -> None:
    """So that it can be mended without a search."""
    assert sentence in complaint(name, f"{URLS[name]}?{option}")


@pytest.mark.parametrize(
    "option",
    [
        "w=1", "W=0", "journal=false", "readConcernLevel=local", "readPreference=secondaryPreferred", "tls=maybe", "tls=",
        "timeoutMS=1", "connectTimeoutMS=0", "maxPoolSize=1", "unicode_decode_error_handler=strict", "uuidRepresentation=junk",
        "datetime_conversion=datetime", "appName=a;w=0", "fsync=true", "connect=true", "compressors=lz4", "compressors=zlib,",
        "x", "tls=true&tls=false", "=",
    ],
)  # fmt: skip
def test_an_option_of_mongodb_that_would_break_the_worker_is_refused(option: str) -> None:
    """The library would pass over some of them with a warning, and connect without TLS."""
    assert complaint("MONGO_URI", f"mongodb://u:hunter2@h/?{option}").startswith("MONGO_URI: the given value is not ")


@pytest.mark.filterwarnings("ignore:You appear to be connected", "ignore:Wire protocol compression")
@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://u:p@tasks.cluster-x.eu-west-1.docdb.amazonaws.com:27017/?tls=true&retryWrites=false",
        "mongodb://u:p@tasks.mongo.cosmos.azure.com:10255/?ssl=true",
        "mongodb://h/?compressors=snappy,zstd,zlib",
    ],
)
def test_a_notice_of_the_library_is_no_fault_of_the_uri(uri: str) -> None:
    """It says with which server it seems to speak, or that it cannot compress in one of the ways."""
    assert complaint("MONGO_URI", uri) == ""
    check_mongo(Settings(mongo_uri=uri))


@pytest.mark.parametrize(
    ("option", "name"),
    [("authMechanism=junk", "authMechanism"), ("zlibCompressionLevel=10", "zlibCompressionLevel"), ("%74ls=true", "%74ls")],
)
def test_an_option_that_the_library_would_leave_out_is_named(option: str, name: str) -> None:
    """A warning would be the last that is heard of it."""
    assert complaint("MONGO_URI", f"mongodb://h/?w=majority&{option}") == ""
    sentence = f"^MONGO_URI: the given value has the option {name} with a value that cannot be used$"
    with pytest.raises(SettingsError, match=sentence):
        check_mongo(Settings(mongo_uri=f"mongodb://h/?w=majority&{option}"))


@pytest.mark.filterwarnings("default")
def test_a_check_leaves_the_warnings_of_the_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other threads would be raised in the middle of their work."""
    seen: list[object] = []

    def make(settings: Settings) -> mongo_module.Mongo:
        seen.extend(warnings.filters)
        return mongo_client(settings)

    monkeypatch.setattr(mongo_module, "mongo_client", make)
    check_mongo(Settings())
    assert seen == list(warnings.filters)


@pytest.mark.parametrize("colon", [":", "%3A"])
def test_the_token_of_a_session_is_a_secret(colon: str) -> None:
    """As it is written and as it is sent; neither the log nor a message shows it."""
    uri = f"mongodb://h/?authMechanismProperties=ENVIRONMENT:test,AWS_SESSION_TOKEN{colon}hunter2%2F,SERVICE_NAME:a&tls=true"
    assert {"hunter2%2F", "hunter2/"} <= set(secrets(uri))
    assert "hunter2" not in complaint("MONGO_URI", f"{uri}&authMechanismProperties=AWS_SESSION_TOKEN:hunter2")
    with pytest.raises(SettingsError) as error:
        check_mongo(Settings(mongo_uri=f"mongodb://h/?authMechanismProperties=hunter2{colon}AWS_SESSION_TOKEN"))
    assert str(error.value).endswith("has the option authMechanismProperties with a value that cannot be used")


def test_what_the_uri_says_of_uuids_hides_no_document() -> None:
    """One that is too short could not be read as an UUID, and with it all documents of its batch."""
    with mongo_client(Settings(mongo_uri="mongodb://h/?uuidRepresentation=standard")) as client:
        short = encode({"a": Binary(b"short", UUID_SUBTYPE)})
        assert decode(short, client.codec_options) == {"a": Binary(b"short", UUID_SUBTYPE)}


@pytest.mark.parametrize("sign", ["@", ":", "/", "?", "#"])
@pytest.mark.parametrize("password", ["hunter{}2", "{}hunter2", "12{}34", "hunter2{}"])
def test_a_reserved_character_in_a_password_of_mongodb_is_said_without_the_password(sign: str, password: str) -> None:
    """Not even the piece that would pass for a port or an option."""
    said = complaint("MONGO_URI", f"mongodb://user:{password.format(sign)}@h:27017/?tls=true")
    assert said == f"MONGO_URI: the given value is not a URI such as mongodb://host:27017; {ESCAPE}"


@pytest.mark.parametrize("sign", ["/", "?", "#"])
@pytest.mark.parametrize("password", ["hunter{}2", "{}hunter2", "12{}34", "12{}?db=1"])
def test_a_reserved_character_in_a_password_of_redis_is_said_without_the_password(sign: str, password: str) -> None:
    """The library would take what is before it for the server, and tell the log."""
    said = complaint("REDIS_URL", f"redis://:{password.format(sign)}@h:6379/0")
    assert said == f"REDIS_URL: the given value is not a URL such as redis://host:6379/0; {ESCAPE}"


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "h:0", "h:65536", "h:x", "a b", "h\n", "[::1"])
def test_a_host_that_no_resolver_can_be_asked_for_is_refused(host: str) -> None:
    """Python raises what is no error of the system for some of these, once it connects."""
    form = "MONGO_URI: the given value is not a URI such as mongodb://host:27017"
    assert complaint("MONGO_URI", f"mongodb://{host}") == form
    assert complaint("REDIS_URL", f"redis://{host}").startswith("REDIS_URL: the given value is not a URL such as ")


PIECES = st.sampled_from(
    ["u", "p", ":", "@", "/", "?", "#", "&", "=", ";", ",", "%", "%40", "[", "]", "::1", "h", "1", "27017", ".", " ", "é", "\n",
     "tls", "true", "w", "0", "appName", "timeoutMS=500", "db=1", "decode_responses", "socket_timeout=9", "ssl_cert_reqs=none"]
)  # fmt: skip


@given(st.sampled_from(["mongodb://", "mongodb+srv://"]), st.lists(PIECES, max_size=14).map("".join))
def test_what_is_taken_for_a_uri_of_mongodb_makes_a_client_as_it_should_be(scheme: str, rest: str) -> None:
    """Or the library refuses it in a SettingsError, before anything is asked of a server."""
    with suppress(ValueError, SettingsError):
        settings = Settings(mongo_uri=mongo(f"{scheme}{rest}"))
        check_mongo(settings)
        with mongo_client(settings) as client:
            assert client.options.read_preference.mode == 0
            assert client.codec_options.tz_aware
            assert 0.1 <= (client.options.timeout or 0) <= 3600


@given(st.sampled_from(["redis://", "rediss://", "unix://"]), st.lists(PIECES, max_size=14).map("".join))
def test_what_is_taken_for_a_url_of_redis_makes_a_client_as_it_should_be(scheme: str, rest: str) -> None:
    """It reads bytes, and waits longer than any command blocks."""
    with suppress(ValueError, SettingsError):
        settings = Settings(redis_url=redis(f"{scheme}{rest}"))
        check_redis(settings)
        with closing(redis_client(settings)) as client:
            given = client.connection_pool.connection_kwargs
            assert not given.get("decode_responses")
            assert given["socket_timeout"] >= 5
