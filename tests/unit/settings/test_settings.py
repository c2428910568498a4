"""Settings come from the environment whole, or every bad one is named, and secrets stay secret."""

from pathlib import Path

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from minio.helpers import check_bucket_name

from orchestrator.errors import SettingsError
from orchestrator.ports import PullPolicy
from orchestrator.settings.settings import Settings, options, variable
from orchestrator.task.limits import Limits, about_limits, ceilings
from orchestrator.task.request import parse_request
from tests.support import junk

AGREED = {
    "MONGO_URI": "mongodb://localhost:27017",
    "MONGO_DB_NAME": "taskrunner",
    "REDIS_URL": "redis://localhost:6379",
    "DOCKER_HOST": "unix://var/run/docker.sock",
    "MINIO_ENDPOINT": "localhost:9000",
    "MINIO_ACCESS_KEY": "minioadmin",
    "MINIO_SECRET_KEY": "minioadmin",
    "MINIO_BUCKET": "task-logs",
    "MINIO_USE_SSL": False,
}
SECRET = ["MONGO_URI", "REDIS_URL", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"]


def complaints(environment: dict[str, str]) -> list[str]:
    """What is said about an environment; nothing when it is accepted."""
    try:
        Settings.load(environment)
    except SettingsError as error:
        return str(error).splitlines()
    return []


def test_agreed_names_and_defaults_hold() -> None:
    """Other services are configured by the same variables."""
    named = {variable(option): option.default for option in options()}
    assert named | AGREED == named


def test_empty_environment_gives_the_defaults() -> None:
    """And so do variables that are set to nothing."""
    assert Settings.load({}) == Settings()
    assert Settings.load({variable(option): "" for option in options()}) == Settings()


def test_values_are_read() -> None:
    """Each kind of value in the form that people write."""
    settings = Settings.load(
        {
            "MONGO_URI": "mongodb://db",
            "MINIO_USE_SSL": "Yes",
            "CONCURRENCY": "8",
            "SPOOL_DIR": "/srv/spool",
            "PULL_POLICY": "never",
            "MAX_MEMORY": "8g",
            "DEFAULT_TIMEOUT": "1m30s",
            "DEFAULT_CPUS": "0.5",
            "DEFAULT_USER": "1000:1000",
            "UNRELATED": "x",
        }
    )
    assert settings == Settings(
        mongo_uri="mongodb://db",
        minio_use_ssl=True,
        concurrency=8,
        spool_dir=Path("/srv/spool"),
        pull_policy=PullPolicy.NEVER,
        defaults=Limits(timeout=90.0, cpus=0.5),
        ceilings=evolve(ceilings(), memory=8 << 30),
        default_user="1000:1000",
    )


@pytest.mark.parametrize("name", ["IMAGE_TTL", "RESULT_TTL", "SPOOL_GRACE"])
def test_a_time_for_which_something_is_kept_may_be_none(name: str) -> None:
    """Then it is not kept."""
    assert getattr(Settings.load({name: "0"}), name.lower()) == 0


@pytest.mark.parametrize("text", ["unix://var/run/docker.sock", "unix:///var/run/docker.sock"])
def test_both_forms_of_a_socket_are_accepted(text: str) -> None:
    """With two slashes and with three."""
    assert Settings.load({"DOCKER_HOST": text}).docker_host == "unix:///var/run/docker.sock"


def test_engine_on_another_host_is_left_as_it_is() -> None:
    """Only socket paths have two forms."""
    assert Settings.load({"DOCKER_HOST": "tcp://10.0.0.5:2376"}).docker_host == "tcp://10.0.0.5:2376"


def test_every_bad_value_is_named_at_once() -> None:
    """With its variable, what it says and what it may say."""
    assert sorted(
        complaints(
            {
                "MONGO_URI": "db:secret@host",
                "MONGO_DB_NAME": "a.b",
                "REDIS_URL": "host:6379",
                "MINIO_ENDPOINT": "http://host:9000",
                "MINIO_BUCKET": "my bucket",
                "MINIO_REGION": "-",
                "QUEUE": " ",
                "DOCKER_HOST": "/var/run/docker.sock",
                "MINIO_USE_SSL": "maybe",
                "CONCURRENCY": "0",
                "PULL_POLICY": "sometimes",
                "ARTIFACT_FILES": "20001",
                "FILES_MAX": "many",
                "LEASE_TTL": "0",
                "DEFAULT_USER": "nobody",
                "DEFAULT_CPUS": "nan",
                "DEFAULT_MEMORY": "1m",
                "MAX_PIDS": "1.5",
                "MAX_TIMEOUT": "-1",
            }
        )
    ) == [
        "ARTIFACT_FILES: '20001' is not a whole number from 1 to 20000",
        "CONCURRENCY: '0' is not a whole number of 1 or more",
        "DEFAULT_CPUS: 'nan' is not a number of CPUs of 0.01 or more",
        "DEFAULT_MEMORY: '1m' is not a size of 6291456 bytes or more, such as 134217728 or '128m'",
        "DEFAULT_USER: 'nobody' is not a numeric uid or uid:gid such as 1000:1000",
        "DOCKER_HOST: '/var/run/docker.sock' is not a URL that begins with unix:// or tcp://",
        "FILES_MAX: 'many' is not a size such as 128m",
        "LEASE_TTL: '0' is not a time such as 30s",
        "MAX_PIDS: '1.5' is not a whole number of 1 or more",
        "MAX_TIMEOUT: '-1' is not a time of 0.001 seconds or more, such as 30 or '30s'",
        "MINIO_BUCKET: 'my bucket' is not a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens",
        "MINIO_ENDPOINT: 'http://host:9000' is not host:port, without a scheme or path",
        "MINIO_REGION: '-' is not a region such as us-east-1",
        "MINIO_USE_SSL: 'maybe' is not true or false",
        "MONGO_DB_NAME: 'a.b' is not a database name without / \\ . \" $ * < > : | ? or spaces, of at most 63 characters",
        "MONGO_URI: the given value is not a URI such as mongodb://host:27017",
        "PULL_POLICY: 'sometimes' is not one of missing, always, never",
        "QUEUE: ' ' is not a word",
        "REDIS_URL: the given value is not a URL such as redis://host:6379/0",
    ]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("w=0", "w=0: a failover may undo a write that no majority has; leave w out, or write w=majority"),
        ("w=1", "w=1: a failover may undo a write that no majority has; leave w out, or write w=majority"),
        ("W=2", "W=2: a failover may undo a write that no majority has; leave W out, or write W=majority"),
        ("w=", "w=: a failover may undo a write that no majority has; leave w out, or write w=majority"),
        (
            "journal=false",
            "journal=false: a crash may undo a write that is in no journal; leave journal out, or write journal=true",
        ),
        (
            "readConcernLevel=local",
            (
                "readConcernLevel=local: a failover may undo what is read and no majority has; "
                "leave readConcernLevel out, or write readConcernLevel=majority"
            ),
        ),
    ],
)
def test_a_uri_that_asks_for_less_than_a_majority_is_refused(option: str, sentence: str) -> None:
    """In a sentence that shows no password, wherever in the URI it stands."""
    given = f"mongodb://u:hunter2@a:1,b:2/db?replicaSet=rs&{option}&tls=true"
    assert complaints({"MONGO_URI": given}) == [f"MONGO_URI: the given value is not safe with {sentence}"]


@pytest.mark.parametrize("option", ["w=majority", "journal=true", "readConcernLevel=majority", "wtimeoutMS=5", "appName=w=1"])
def test_a_uri_that_asks_for_a_majority_is_taken(option: str) -> None:
    """It says what is the case anyway."""
    assert complaints({"MONGO_URI": f"mongodb+srv://h/?{option}"}) == []


@pytest.mark.parametrize("name", ["ab", "a..b", "a.-b", "A-b", "-ab", "192.168.0.1", "a" * 64, "a_b", "a/b"])
def test_a_bucket_that_the_library_would_refuse_is_named(name: str) -> None:
    """Before anything is asked of a server."""
    with pytest.raises(ValueError, match="bucket"):
        check_bucket_name(name, strict=True)
    assert complaints({"MINIO_BUCKET": name})


@given(st.from_regex(r"[a-z0-9.-]{3,63}", fullmatch=True))
def test_buckets_are_what_the_library_takes(name: str) -> None:
    """Neither more nor less."""
    try:
        check_bucket_name(name, strict=True)
    except ValueError:
        assert complaints({"MINIO_BUCKET": name})
    else:
        assert Settings.load({"MINIO_BUCKET": name}).minio_bucket == name


def test_settings_that_contradict_each_other_are_named() -> None:
    """A default that no task could be granted would fail every task that relies on it."""
    assert complaints({"DEFAULT_PIDS": "100", "MAX_PIDS": "99", "MAX_MEMORY": "100m", "DEFAULT_USER": "0"}) == [
        "DEFAULT_MEMORY: 268435456 is above MAX_MEMORY, which is 104857600",
        "DEFAULT_PIDS: 100 is above MAX_PIDS, which is 99",
        "DEFAULT_USER: '0' is root, and ROOT_ALLOWED is false",
    ]


def test_a_budget_below_one_task_is_a_contradiction() -> None:
    """No task that names no limits could ever begin; 0 is no budget."""
    assert complaints({"MEMORY_BUDGET": "100m"}) == ["DEFAULT_MEMORY: 268435456 is above MEMORY_BUDGET, which is 104857600"]
    assert complaints({"MEMORY_BUDGET": "100m", "DEFAULT_MEMORY": "100m"}) == []
    assert complaints({"MEMORY_BUDGET": "0"}) == []
    assert complaints({"MEMORY_BUDGET": "-1"}) == ["MEMORY_BUDGET: '-1' is not a size such as 16g, or 0"]


def test_lists_are_words() -> None:
    """Between commas or spaces."""
    settings = Settings.load({"IMAGES_ALLOWED": "python:3.*, busybox", "RUNTIMES_ALLOWED": "runsc kata", "RUNTIME": "crun"})
    assert settings.rules.images == ("python:3.*", "busybox")
    assert settings.rules.runtimes == ("crun", "runsc", "kata")


def test_waiting_containers_are_counted_by_image() -> None:
    """Each image once; its name may have a port, a tag and a digest."""
    digest = f"busybox@sha256:{'0' * 64}"
    settings = Settings.load({"WARM": f"python:3.12=4, host:5000/a=1 {digest}=999"})
    assert settings.warm == (("python:3.12", 4), ("host:5000/a", 1), (digest, 999))
    assert Settings.load({"WARM": ""}).warm == ()


@pytest.mark.parametrize("text", ["busybox", "busybox=0", "busybox=1000", "=1", "Busybox=1", "busybox=1 busybox=2", "b=-1"])
def test_waiting_containers_that_cannot_be_are_refused(text: str) -> None:
    """With what is allowed."""
    assert complaints({"WARM": text}) == [
        f"WARM: {text!r} is not a list of images, each once and with a number from 1 to 999, such as python:3.12=4 busybox=2"
    ]


@pytest.mark.parametrize("name", SECRET)
def test_secret_is_in_no_text(name: str) -> None:
    """Neither in what the settings print as, nor in the message about a bad value."""
    value = {"MONGO_URI": "mongodb://u:hunter2@h", "REDIS_URL": "redis://:hunter2@h"}.get(name, "hunter2")
    assert "hunter2" not in repr(Settings.load({name: value}))
    option = next(option for option in options() if variable(option) == name)
    assert option.secret


def test_bad_secret_is_named_without_its_value() -> None:
    """The name is enough to find it."""
    (complaint,) = complaints({"MINIO_SECRET_KEY": "   "})
    assert complaint == "MINIO_SECRET_KEY: the given value is not a word"


def test_rules_carry_the_settings_for_tasks() -> None:
    """Each limit has a default and a ceiling of its name."""
    rules = Settings.load({"DEFAULT_PIDS": "5", "MAX_PIDS": "6", "NETWORK_ALLOWED": "1", "FILES_MAX": "1k"}).rules
    assert (rules.defaults.pids, rules.ceilings.pids) == (5, 6)
    assert (rules.network_allowed, rules.root_allowed, rules.files_max) == (True, False, 1024)
    assert parse_request("t1", {"image": "a"}, Settings().rules).limits == Settings().rules.defaults


def test_every_limit_is_a_setting_twice() -> None:
    """A new limit of a task needs a default and a ceiling, unless it is one that a task may do without."""
    names = {option.name for option in options()}
    optional = {name for name, about in about_limits().items() if about.ceiling is None}
    assert optional == {limit.name for limit in fields(Limits) if limit.default is None}
    assert {f"{prefix}_{name}" for name in {*about_limits()} - optional for prefix in ("default", "max")} <= names


def test_worker_is_named_by_setting_or_by_host_and_process() -> None:
    """Two workers on one host differ."""
    assert Settings.load({"WORKER_NAME": "w1"}).name == "w1"
    assert Settings().name.rpartition("-")[2].isdigit()


@given(st.dictionaries(st.sampled_from([variable(option) for option in options()]), junk.text | junk.near, max_size=5))
def test_any_environment_is_read_or_refused(environment: dict[str, str]) -> None:
    """Nothing but SettingsError comes out; it has a line for each bad variable, and only for variables that were given."""
    said = complaints(environment)
    if not said:
        assert isinstance(Settings.load(environment), Settings)
    related = {*environment, *(f"DEFAULT_{limit.name.upper()}" for limit in fields(Limits)), "DEFAULT_USER"}
    assert all(line.partition(":")[0] in related for line in said)
