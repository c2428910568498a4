"""Numbers that a task's owner stores with another driver are read as numbers."""

import math
from decimal import Decimal

import pytest
from bson import Decimal128, Int64

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.errors import InvalidTask
from orchestrator.settings.settings import Settings
from orchestrator.task.request import Rules, parse_request
from tests.support.stored import queued


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (Decimal128("0.5"), 0.5),
        (Decimal128("2"), 2),
        (Decimal128("2.0"), 2),
        (Decimal128("1E+3"), 1000),
        (Decimal128("9223372036854775807"), 9223372036854775807),
        (Decimal128("1E+6000"), math.inf),
        (Decimal128("-Infinity"), -math.inf),
        (Int64(5), 5),
    ],
)
def test_a_number_of_another_driver_is_read_as_a_number(
    real_store: MongoTaskStore, settings: Settings, stored: object, read: float
) -> None:
    """Whole ones exactly."""
    with mongo_client(settings) as client:
        client[settings.mongo_db_name].tasks.insert_one({**queued("t1"), "retries": stored})
    found = real_store.find("t1") or {}
    assert found["retries"] == read
    assert type(found["retries"]) in {type(read), Int64}


def test_a_task_of_decimals_is_a_task(real_store: MongoTaskStore, settings: Settings) -> None:
    """Some drivers store every fraction so; what is no number is refused in a sentence."""
    limits = {"cpus": Decimal128("0.5"), "memory": Decimal128("67108864"), "timeout": Decimal128("1.5"), "pids": Int64(9)}
    with mongo_client(settings) as client:
        tasks = client[settings.mongo_db_name].tasks
        tasks.insert_one({**queued("good"), "image": "busybox", "limits": limits})
        tasks.insert_one({**queued("bad"), "image": "busybox", "limits": {"cpus": Decimal128(Decimal("sNaN"))}})
    good, bad = ({"image": "busybox", "limits": (real_store.find(name) or {})["limits"]} for name in ("good", "bad"))
    granted = parse_request("good", good, Rules(ceilings=None)).limits
    assert (granted.cpus, granted.memory, granted.timeout, granted.pids) == (0.5, 64 << 20, 1.5, 9)
    with pytest.raises(InvalidTask, match=r"limits\.cpus: nan is not a number of CPUs"):
        parse_request("bad", bad, Rules(ceilings=None))
