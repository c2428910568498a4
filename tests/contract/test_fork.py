"""The real adapters after a fork, as RQ's stock worker does for each job."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.servers import Corner

CODE = """
import hashlib, os, sys
from datetime import UTC, datetime
from pathlib import Path
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.task.event import Event
from orchestrator.settings.settings import Settings

settings = Settings.load()
store, events, queue, logs = (adapter(settings) for adapter in (MongoTaskStore, RedisEventBus, RqQueue, MinioObjectStore))
logs.prepare()

def use(name):
    for _ in range(50):
        store.claim(name, "worker", "token", 60)
        assert store.find(name)["_id"] == name
        events.publish(Event.queued(name, datetime.now(UTC)))
        queue.enqueue(name)
        logs.put(name, Path(name), sums[name])
        assert logs.stat(name) == (6, sums[name])

names = ["parent", "child1", "child2"]
sums = {name: hashlib.sha256(f"{name:6}".encode()).hexdigest() for name in names}
for name in names:
    Path(name).write_text(f"{name:6}")
    store.insert({"_id": name, "status": "queued"})
use(names[0])
children = []
for name in names[1:]:
    if not (child := os.fork()):
        use(name)
        os._exit(0)
    children.append(child)
use(names[0])
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_parent_and_children_do_not_share_connections(corner: Corner, tmp_path: Path) -> None:
    """All three use all servers at once, and each gets the answers to its own requests."""
    environment = {**os.environ, **corner.environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", CODE]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
