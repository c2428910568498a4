"""Output is stored while its program runs: on real servers, through a worker process."""

import hashlib

from orchestrator.adapters.s3.client import minio_client
from orchestrator.client import Client
from tests.support.containers import IMAGE
from tests.support.installation import PATIENCE, Installation
from tests.support.worker_process import until

SIZE = 20 << 20
SCRIPT = f"trap 'echo end; exit' TERM; head -c {SIZE} /dev/zero | tr '\\0' x; while :; do sleep 0.1; done"
"""Runs until it is ended."""


def test_long_output_is_sent_before_its_program_ends(installation: Installation, client: Client) -> None:
    """The rest follows at the end. The object is proven by its SHA-256, and no part is left."""
    installation.start()
    s3, bucket = minio_client(installation.settings), installation.settings.minio_bucket
    request = {"image": IMAGE, "command": ["sh", "-c", SCRIPT], "limits": {"output": 2 * SIZE}}
    task_id = client.submit(request).id
    until(lambda: installation.document(task_id)["status"] == "running", PATIENCE)
    until(lambda: installation.document(task_id)["parts_begun"], PATIENCE)
    (key,) = installation.document(task_id)["parts_begun"]
    until(lambda: [*s3.begun_parts(bucket, key)], PATIENCE)
    assert installation.document(task_id)["status"] == "running"
    assert not [*s3.list_objects(bucket, f"{task_id}/", recursive=True)]
    client.cancel(task_id)
    document = installation.ended(task_id)
    stored, _ = installation.object(document, "stdout")
    log, written = document["logs"]["stdout"], b"x" * SIZE + b"end\n"
    assert stored == written
    assert (log["bytes"], log["sha256"]) == (len(written), hashlib.sha256(written).hexdigest())
    assert log["sha256"][:16] not in log["key"]
    assert [found.object_name for found in s3.list_objects(bucket, f"{task_id}/1/std", recursive=True)] == [log["key"]]
    assert log["key"] == key
    assert not [*s3.begun_parts(bucket, key)]
