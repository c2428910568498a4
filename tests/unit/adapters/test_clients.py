"""For how long the clients of servers wait."""

from contextlib import closing

import pytest

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.settings.settings import Settings


@pytest.mark.parametrize(
    ("options", "call", "connection"),
    [
        ("", 5.0, 3.0),
        ("/tasks?retryWrites=false", 5.0, 3.0),
        ("/?timeoutMS=60000", 60.0, 3.0),
        ("/?w=1&connecttimeoutms=45000&timeoutMS=60000", 60.0, 45.0),
    ],
)
def test_time_limits_in_the_uri_of_mongodb_hold(options: str, call: float, connection: float) -> None:
    """The operator knows how slow the server is; without them a call ends within seconds."""
    with mongo_client(Settings(mongo_uri=f"mongodb://me:secret@a:1,b:2{options}")) as client:
        assert client.options.timeout == call
        assert client.options.pool_options.connect_timeout == connection


def test_time_limits_in_the_url_of_redis_hold() -> None:
    """As those of MongoDB do."""
    with closing(redis_client(Settings(redis_url="redis://a:1/2?socket_timeout=60&socket_connect_timeout=45"))) as client:
        given = client.connection_pool.connection_kwargs
        assert (given["socket_timeout"], given["socket_connect_timeout"], given["db"]) == (60.0, 45.0, 2)


@pytest.mark.parametrize("options", ["", "/?w=1&journal=false&readConcernLevel=local"])
def test_a_client_of_mongodb_waits_for_a_majority_and_the_journal(options: str) -> None:
    """Whatever the URI says."""
    with mongo_client(Settings(mongo_uri=f"mongodb://a:1{options}")) as client:
        assert client.write_concern.document == {"w": "majority", "j": True}
        assert client.read_concern.level == "majority"
