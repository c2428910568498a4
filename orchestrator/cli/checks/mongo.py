"""Checks MongoDB: whether it answers, is new enough, and lets a task be moved by compare-and-set."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pymongo
from pymongo.errors import PyMongoError

from orchestrator.adapters.clients import Mongo, mongo_client
from orchestrator.adapters.mongo import MongoTaskStore
from orchestrator.cli.checks.finding import Finding, Unfit, at_least, clock, look
from orchestrator.deployment import Memory, objection
from orchestrator.errors import InfrastructureError
from orchestrator.place import place
from orchestrator.settings import Settings

OLDEST = (4, 4)
_SCRATCH = "doctor"


def ping(settings: Settings, seconds: float) -> None:
    """Ask for an answer within ``seconds``. Raises PyMongoError, and SettingsError for a bad URI."""
    with mongo_client(settings) as client, pymongo.timeout(seconds):
        client.admin.command("ping")


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the server. Raises SettingsError for a bad URI."""
    where = place(settings.mongo_uri)
    with mongo_client(settings) as client:
        advice = f"start MongoDB at {where}, set MONGO_URI (with user and password if it wants them), or run `orchestrator up`"
        reached = look("MongoDB", advice, lambda: f"{where}, version {_version(client)}", PyMongoError)
        yield reached
        if not reached.ok:
            return
        advice = f"give the user of MONGO_URI the role readWrite on the database {settings.mongo_db_name}"
        yield look("MongoDB writes", advice, lambda: _compare_and_set(client, settings.mongo_db_name), PyMongoError)
        advice = "`orchestrator deployment` shows more; the how-to has a section, Restore or copy the database"
        yield look("deployment", advice, lambda: _deployment(settings), InfrastructureError)
        yield clock("MongoDB", lambda: _time(client), PyMongoError)


def _version(client: Mongo) -> str:
    return at_least(str(client.server_info()["version"]), OLDEST)


def _deployment(settings: Settings) -> str:
    """Whose database it is, and whether workers with these settings take tasks from it."""
    with closing(MongoTaskStore(settings)) as store:
        origin = store.origin()
    if why := objection(origin, Memory.of(settings).known):
        raise Unfit(why)
    return f"{origin.id or 'none yet; the first worker makes it'}"


def _time(client: Mongo) -> datetime:
    now: datetime = client.admin.command("hello")["localTime"]
    return now.replace(tzinfo=UTC)


def _compare_and_set(client: Mongo, database: str) -> str:
    """Move a document in a collection of our own, and see a stale move refused; the collection is dropped again."""
    scratch = client[database][f"{_SCRATCH}_{uuid.uuid4().hex[:8]}"]
    try:
        scratch.insert_one({"_id": "probe", "seq": 0})
        matched = [scratch.update_one({"_id": "probe", "seq": 0}, [{"$set": {"seq": 1}}]).matched_count for _ in range(2)]
    finally:
        scratch.drop()
    if matched != [1, 0]:
        raise Unfit(f"of two equal compare-and-sets one has to apply; {sum(matched)} did")
    return f"compare-and-set in {database}"
