"""Checks MongoDB: whether it answers, is new enough, and lets a task be moved by compare-and-set."""

import uuid
from collections.abc import Iterator, Mapping, Sized
from contextlib import closing
from datetime import UTC, datetime

import pymongo
from pymongo.errors import PyMongoError

from orchestrator.adapters.mongo.client import Mongo, mongo_client
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.doctor.finding import Finding, Unfit, at_least, clock, look
from orchestrator.errors import InfrastructureError
from orchestrator.reconcile.database_identity import Memory, objection
from orchestrator.settings.settings import Settings
from orchestrator.urls import place

OLDEST = (4, 4)
_SCRATCH = "doctor"


def ping(settings: Settings, seconds: float) -> None:
    """Ask for an answer within ``seconds``. Raises PyMongoError, and SettingsError for a bad URI."""
    with mongo_client(settings) as client, pymongo.timeout(seconds):
        client.admin.command("ping")


def check(settings: Settings) -> Iterator[Finding]:
    """Check the server. Raises SettingsError for a bad URI."""
    where = place(settings.mongo_uri)
    with mongo_client(settings) as client:
        advice = f"start MongoDB at {where}, set MONGO_URI (with user and password if it wants them), or run `orchestrator up`"
        reached = look("MongoDB", advice, lambda: f"{where}, version {_version(client)}", PyMongoError)
        yield reached
        if not reached.ok:
            return
        advice = f"ask the server at {where} what it is: db.hello() in mongosh"
        yield look("MongoDB kind", advice, lambda: topology(client.admin.command("hello")), PyMongoError)
        advice = f"give the user of MONGO_URI the role readWrite on the database {settings.mongo_db_name}"
        yield look("MongoDB writes", advice, lambda: _compare_and_set(client, settings.mongo_db_name), PyMongoError)
        advice = "`orchestrator deployment` shows more; the how-to has a section, Restore or copy the database"
        yield look("deployment", advice, lambda: _deployment(settings), InfrastructureError)
        yield clock("MongoDB", lambda: _time(client), PyMongoError)


def topology(hello: Mapping[str, object]) -> str:
    """The kind of the server, by its answer to hello, and the consequences for stored data."""
    if hello.get("msg") == "isdbgrid":
        return "sharded cluster; what is stored is in the journals of a majority of a shard's members"
    if "setName" not in hello:
        return "standalone server; what is stored is in its journal, and without it or its disk tasks stand still"
    members, arbiters = _count(hello, "hosts") + _count(hello, "passives"), _count(hello, "arbiters")
    spare = members - min((members + arbiters) // 2 + 1, members)
    with_arbiters = f" and arbiters without data: {arbiters}" if arbiters else ""
    named = f"replica set {hello['setName']}, members with data: {members}{with_arbiters}; what is stored outlasts a failover"
    return f"{named}, and tasks go on with {spare} of them away" if spare else f"{named}, and tasks stand still with one away"


def _count(hello: Mapping[str, object], names: str) -> int:
    listed = hello.get(names)
    return len(listed) if isinstance(listed, Sized) else 0


def _version(client: Mongo) -> str:
    return at_least(str(client.server_info()["version"]), OLDEST)


def _deployment(settings: Settings) -> str:
    """The deployment of the database, and whether workers with these settings take tasks from it."""
    with closing(MongoTaskStore(settings)) as store:
        origin = store.origin()
    if why := objection(origin, Memory.of(settings).known):
        raise Unfit(why)
    return f"{origin.id or 'none yet; the first worker makes it'}"


def _time(client: Mongo) -> datetime:
    now: datetime = client.admin.command("hello")["localTime"]
    return now.replace(tzinfo=UTC)


def _compare_and_set(client: Mongo, database: str) -> str:
    """Move a document in a separate collection, and expect that a stale move is refused. The collection is dropped again."""
    scratch = client[database][f"{_SCRATCH}_{uuid.uuid4().hex[:8]}"]
    try:
        scratch.insert_one({"_id": "probe", "seq": 0})
        matched = [scratch.update_one({"_id": "probe", "seq": 0}, [{"$set": {"seq": 1}}]).matched_count for _ in range(2)]
    finally:
        scratch.drop()
    if matched != [1, 0]:
        raise Unfit(f"of two equal compare-and-sets one has to apply; {sum(matched)} did")
    return f"compare-and-set in {database}"
