"""The ObjectStore's contract, on the store in memory and on the one for S3."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier

import pytest
from attrs import evolve

from orchestrator.adapters.s3 import object_store as minio_logs
from orchestrator.adapters.s3.client import minio_client
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.errors import BytesChanged, InfrastructureError, UnknownTask
from orchestrator.ports import ObjectStore
from orchestrator.settings.settings import Settings

KEY = "t1/1/stdout.log"
EVERY_BYTE = bytes(range(256))
CONTENTS = {"empty": b"", "one byte": b"\n", "every byte": EVERY_BYTE, "several parts": EVERY_BYTE * (11 << 12)}


def put(logs: ObjectStore, folder: Path, content: bytes, key: str = KEY) -> str:
    """Store the content by way of a file; its SHA-256."""
    path = folder / hashlib.sha256(key.encode()).hexdigest()
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    logs.put(key, path, sha256)
    return sha256


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_log_comes_back_byte_for_byte(logs: ObjectStore, tmp_path: Path, content: bytes) -> None:
    """Whatever is in it, and however large it is."""
    sha256 = put(logs, tmp_path, content)
    assert logs.stat(KEY) == (len(content), sha256)
    assert b"".join(logs.get(KEY)) == content


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_other_bytes_of_the_same_size_are_noticed(settings: Settings, tmp_path: Path, content: bytes) -> None:
    """Even if the metadata says otherwise. An unchanged object is not read back."""
    logs = MinioObjectStore(settings)
    logs.prepare()
    sha256 = put(logs, tmp_path, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(MinioObjectStore, "get")
        assert logs.stat(KEY) == (len(content), sha256)
    client = minio_client(settings)
    found = client.stat_object(logs.bucket, KEY)
    said = {name: found.metadata[f"x-amz-meta-{name}"] for name in ("sha256", "etag")}
    other = content[::-1] if content != content[::-1] else b"?" * len(content)
    client.put_object(logs.bucket, KEY, BytesIO(other), len(other), metadata=said)
    assert logs.stat(KEY) == (len(content), hashlib.sha256(other).hexdigest())


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_what_is_not_what_was_hashed_is_not_stored(logs: ObjectStore, tmp_path: Path, content: bytes) -> None:
    """One byte has changed on the disk since: there is an error, and nothing that could pass as the log."""
    path = tmp_path / "stdout"
    path.write_bytes(b"?" + content[1:])
    with pytest.raises(BytesChanged, match="spool: stdout has changed on the disk"):
        logs.put(KEY, path, hashlib.sha256(content).hexdigest())
    assert logs.stat(KEY) is None


def test_what_changes_while_it_is_sent_is_not_left_there(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that are sent are hashed, not those that were read before."""
    logs = MinioObjectStore(settings)
    logs.prepare()
    path, content = tmp_path / "stdout", CONTENTS["several parts"]
    path.write_bytes(content)

    def etag(*args: object) -> str:
        summed = minio_logs_etag(*args)
        with path.open("r+b") as file:
            file.write(b"?")
        return summed

    minio_logs_etag = minio_logs._etag
    monkeypatch.setattr(minio_logs, "_etag", etag)
    with pytest.raises(BytesChanged):
        logs.put(KEY, path, hashlib.sha256(content).hexdigest())
    assert logs.stat(KEY) is None


def test_a_log_is_replaced(logs: ObjectStore, tmp_path: Path) -> None:
    """An upload that is done again changes nothing, and one with other bytes wins."""
    put(logs, tmp_path, EVERY_BYTE)
    put(logs, tmp_path, EVERY_BYTE)
    sha256 = put(logs, tmp_path, b"shorter")
    assert logs.stat(KEY) == (7, sha256)
    assert b"".join(logs.get(KEY)) == b"shorter"


def test_a_log_that_is_not_there_is_told_from_an_empty_one(logs: ObjectStore, tmp_path: Path) -> None:
    """A stat of a missing object is no error, a read of it is one."""
    assert logs.stat(KEY) is None
    with pytest.raises(UnknownTask):
        next(logs.get(KEY))
    put(logs, tmp_path, b"")
    assert logs.stat(KEY) is not None
    assert b"".join(logs.get(KEY)) == b""


def test_keys_are_told_apart(logs: ObjectStore, tmp_path: Path) -> None:
    """Tasks with similar names share no object."""
    keys = ["t1/1/stdout.log", "t1/1/stderr.log", "t1/2/stdout.log", "t11/1/stdout.log", "t.1/1/stdout.log", "T1/1/stdout.log"]
    for key in keys:
        put(logs, tmp_path, key.encode(), key)
    assert [b"".join(logs.get(key)).decode() for key in keys] == keys


def test_many_threads_store_at_once(logs: ObjectStore, tmp_path: Path) -> None:
    """The threads of a worker share one store."""
    keys = [f"t{number}/1/stdout.log" for number in range(32)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: put(logs, tmp_path, key.encode() * 1000, key), keys))
    assert [logs.stat(key)[0] for key in keys] == [len(key) * 1000 for key in keys]


def test_a_reader_may_stop_early(logs: ObjectStore, tmp_path: Path) -> None:
    """And others are not disturbed."""
    put(logs, tmp_path, CONTENTS["several parts"])
    for _ in range(20):
        reader = logs.get(KEY)
        assert next(reader)
        reader.close()
    assert sum(map(len, logs.get(KEY))) == len(CONTENTS["several parts"])


def test_preparing_again_changes_nothing(logs: ObjectStore, tmp_path: Path) -> None:
    """Every worker prepares the store when it starts."""
    put(logs, tmp_path, b"kept")
    logs.prepare()
    assert b"".join(logs.get(KEY)) == b"kept"
    assert logs.bucket


def test_workers_may_make_the_bucket_at_once(settings: Settings) -> None:
    """Eight workers start on a new installation, and none of them fails."""
    barrier = Barrier(8)

    def prepare(_: int) -> None:
        logs = MinioObjectStore(settings)
        barrier.wait()
        logs.prepare()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(prepare, range(8)))
    assert minio_client(settings).bucket_exists(settings.minio_bucket)


def test_uploads_cut_short_are_dropped_by_the_bucket(settings: Settings) -> None:
    """A worker that dies in the middle of a large upload leaves parts that nobody sees."""
    MinioObjectStore(settings).prepare()
    lifecycle = minio_client(settings).get_bucket_lifecycle(settings.minio_bucket)
    (rule,) = lifecycle.rules
    assert rule.abort_incomplete_multipart_upload.days_after_initiation == 1


def test_a_bucket_that_is_there_keeps_its_own_rules(settings: Settings) -> None:
    """The bucket may have rules that its owner chose."""
    minio_client(settings).make_bucket(settings.minio_bucket)
    MinioObjectStore(settings).prepare()
    assert minio_client(settings).get_bucket_lifecycle(settings.minio_bucket) is None


def test_wrong_keys_are_infrastructure(settings: Settings) -> None:
    """Of the worker, not of the task."""
    refused = MinioObjectStore(evolve(settings, minio_secret_key="wrong-secret"))
    with pytest.raises(InfrastructureError, match="s3"):
        refused.stat(KEY)


def test_objects_are_listed_by_how_their_keys_begin(logs: ObjectStore, tmp_path: Path) -> None:
    """In the order of their keys, from any of them on, with the time at which each was stored."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    keys = ["t1/1/a", "t1/1/artifacts/b", "t1/2/a", "t1", "t11/1/a", "T1/1/a", "t.1/1/a"]
    for key in keys:
        put(logs, tmp_path, b"x", key)
    assert [found.key for found in logs.listed()] == sorted(keys)
    assert [found.key for found in logs.listed("t1/")] == ["t1/1/a", "t1/1/artifacts/b", "t1/2/a"]
    assert [found.key for found in logs.listed("t1/", "t1/1/a")] == ["t1/1/artifacts/b", "t1/2/a"]
    assert list(logs.listed("t2/")) == []
    assert all(begun < found.modified_at < begun + timedelta(minutes=5) for found in logs.listed())


def test_removed_objects_are_gone_and_no_others(logs: ObjectStore, tmp_path: Path) -> None:
    """One that is not there is no error; more than a request can name are removed by several."""
    keys = [f"t1/1/{number:04}" for number in range(12)]
    for key in [*keys, "t11/1/a"]:
        put(logs, tmp_path, b"x", key)
    logs.remove([*keys[:11], *(f"t1/none/{number}" for number in range(1500)), keys[11]])
    logs.remove(keys)
    logs.remove([])
    assert [found.key for found in logs.listed()] == ["t11/1/a"]
    assert logs.stat(keys[0]) is None


def test_a_list_has_several_pages(logs: ObjectStore, tmp_path: Path) -> None:
    """A page has 1000 keys."""
    keys = [f"t1/1/{number:04}" for number in range(1001)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(logs, tmp_path, b"x", key), keys))
    assert [found.key for found in logs.listed("t1/")] == keys
