"""The embedded servers get new passwords, and the data stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.embedded import Embedded, home, renew_passwords
from orchestrator.settings.settings import Settings

TASK = {"_id": "t1", "status": "queued", "created_at": datetime(2030, 5, 17, tzinfo=UTC)}


def test_every_server_has_another_password_afterwards_and_its_data(tmp_path: Path) -> None:
    """SecantusDB keeps its user with the data, the others get theirs at the next start."""
    folder = tmp_path / ".orchestrator"
    with Embedded(folder) as servers:
        settings = old = Settings.load(servers.environment)
        store = MongoTaskStore(settings)
        store.insert(TASK)
        store.close()
        MinioObjectStore(settings).prepare()
        with redis_client(settings) as redis:
            redis.set("key", "value")
    before = home.load(folder).passwords
    renew_passwords(folder)
    with Embedded(folder) as servers:
        settings = Settings.load(servers.environment)
        store = MongoTaskStore(settings)
        assert store.find("t1") == TASK
        store.close()
        MinioObjectStore(settings).prepare()
        with redis_client(settings) as redis:
            assert redis.get("key") == b"value"
        with mongo_client(old) as client, pytest.raises(OperationFailure):
            client[old.mongo_db_name].tasks.count_documents({})
    after = home.load(folder).passwords
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] == before[name]} == set()
