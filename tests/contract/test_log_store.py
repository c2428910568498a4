"""The ObjectStore's contract, on the store in memory and on the one for S3."""

import hashlib
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier, Lock

import pytest
from attrs import evolve
from minio.datatypes import ListMultipartUploadsResult
from minio.error import S3Error
from urllib3.exceptions import HTTPError

from orchestrator.adapters.s3 import object_store as minio_logs
from orchestrator.adapters.s3.client import minio_client
from orchestrator.adapters.s3.multipart import MultipartMinio
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.errors import BytesChanged, InfrastructureError, UnknownTask
from orchestrator.ports import ObjectStore
from orchestrator.settings.settings import Settings
from tests.support import pace

KEY = "t1/1/stdout.log"
EVERY_BYTE = bytes(range(256))
ONE_PART = 5 << 20
CONTENTS = {"empty": b"", "one byte": b"\n", "every byte": EVERY_BYTE, "several parts": EVERY_BYTE * (11 << 12)}


def put(logs: ObjectStore, folder: Path, content: bytes, key: str = KEY) -> str:
    """Store the content by way of a file; its SHA-256."""
    path = folder / hashlib.sha256(key.encode()).hexdigest()
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    logs.put(key, path, sha256)
    return sha256


def begun(settings: Settings) -> list[str]:
    """The keys of uploads that were begun and neither completed nor aborted."""
    return [upload.object_name for upload in minio_client(settings)._list_multipart_uploads(settings.minio_bucket).uploads]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_log_comes_back_byte_for_byte(logs: ObjectStore, tmp_path: Path, content: bytes) -> None:
    """Whatever is in it, and however large it is."""
    sha256 = put(logs, tmp_path, content)
    assert logs.stat(KEY) == (len(content), sha256)
    assert b"".join(logs.get(KEY)) == content


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_other_bytes_of_the_same_size_are_noticed(settings: Settings, tmp_path: Path, content: bytes) -> None:
    """Even if the metadata says otherwise. An unchanged object of one part is not read back."""
    logs = MinioObjectStore(settings)
    logs.prepare()
    sha256 = put(logs, tmp_path, content)
    with pytest.MonkeyPatch.context() as patch:
        if len(content) < ONE_PART:
            patch.delattr(MinioObjectStore, "get")
        assert logs.stat(KEY) == (len(content), sha256)
    client = minio_client(settings)
    found = client.stat_object(logs.bucket, KEY)
    said = {name: found.metadata[f"x-amz-meta-{name}"] for name in ("sha256", "etag") if f"x-amz-meta-{name}" in found.metadata}
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
    """The bytes that are sent are hashed. The change is found before the object is made, and no part stays."""
    logs, begin = MinioObjectStore(settings), MultipartMinio.begin_parts
    logs.prepare()
    path, content = tmp_path / "stdout", CONTENTS["several parts"]
    path.write_bytes(content)

    def changed(*args: object) -> str:
        with path.open("r+b") as file:
            file.write(b"?")
        return begin(*args)

    monkeypatch.setattr(MultipartMinio, "begin_parts", changed)
    with pytest.raises(BytesChanged):
        logs.put(KEY, path, hashlib.sha256(content).hexdigest())
    assert logs.stat(KEY) is None
    assert not begun(settings)


def test_parts_are_sent_side_by_side(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them: each waits here until the others are on their way, too."""
    logs, send, together = MinioObjectStore(settings), MultipartMinio.send_part, Barrier(3)
    logs.prepare()

    def late(self: MultipartMinio, bucket: str, key: str, upload: str, number: int, data: bytes) -> str:
        together.wait(pace.seconds(30))
        return send(self, bucket, key, upload, number, data)

    monkeypatch.setattr(MultipartMinio, "send_part", late)
    sha256 = put(logs, tmp_path, CONTENTS["several parts"])
    assert logs.stat(KEY) == (len(CONTENTS["several parts"]), sha256)


def test_a_process_has_few_parts_in_memory(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tasks store large files at the same time: a part is read only when there is room for it."""
    logs, read, send = MinioObjectStore(settings), minio_logs._Contents._read, MultipartMinio.send_part
    logs.prepare()
    counting, there, most = Lock(), [0], [0]

    def count(by: int) -> None:
        with counting:
            there[0] += by
            most[0] = max(most[0], there[0])

    def noted(self: minio_logs._Contents) -> bytes:
        data = read(self)
        if threading.current_thread().name.startswith("part"):
            count(bool(data))
        return data

    def sent(*args: object) -> str:
        try:
            return send(*args)
        finally:
            count(-1)

    monkeypatch.setattr(minio_logs._Contents, "_read", noted)
    monkeypatch.setattr(MultipartMinio, "send_part", sent)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: put(logs, tmp_path, CONTENTS["several parts"], f"t{number}/1/stdout.log"), range(4)))
    assert there == [0]
    assert 3 < most[0] <= 8


def test_a_part_that_fails_leaves_nothing(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an object nor parts, and no thread."""
    logs, send = MinioObjectStore(settings), MultipartMinio.send_part
    logs.prepare()

    def refused(self: MultipartMinio, bucket: str, key: str, upload: str, number: int, data: bytes) -> str:
        if number == 2:
            raise HTTPError("cut")
        return send(self, bucket, key, upload, number, data)

    monkeypatch.setattr(MultipartMinio, "send_part", refused)
    before = threading.active_count()
    with pytest.raises(InfrastructureError, match="s3: cut"):
        put(logs, tmp_path, CONTENTS["several parts"])
    assert logs.stat(KEY) is None
    assert not begun(settings)
    assert threading.active_count() <= before


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


def cut(content: bytes, size: int = ONE_PART) -> Generator[bytes]:
    """The content in parts."""
    yield from (content[at : at + size] for at in range(0, len(content), size))


def sha(content: bytes) -> str:
    """Its checksum."""
    return hashlib.sha256(content).hexdigest()


def test_an_object_may_be_sent_in_parts(logs: ObjectStore) -> None:
    """By several calls. Nobody sees it before it is complete."""
    content = CONTENTS["several parts"]
    upload = logs.begin_parts(KEY)
    sent = [*logs.send_parts(KEY, upload, cut(content[:ONE_PART]))]
    sent += logs.send_parts(KEY, upload, cut(content[ONE_PART:]), 2)
    assert list(logs.listed()) == []
    logs.complete_parts(KEY, upload, sent, sha(content))
    assert b"".join(logs.get(KEY)) == content
    assert logs.stat(KEY) == (len(content), sha(content))


def test_parts_that_cannot_be_read_are_told(logs: ObjectStore) -> None:
    """What the parts raise comes out, and the upload may be dropped."""

    def broken() -> Generator[bytes]:
        yield b"x" * ONE_PART
        raise BytesChanged("stdout")

    upload = logs.begin_parts(KEY)
    with pytest.raises(BytesChanged):
        logs.send_parts(KEY, upload, broken())
    logs.abort_parts(KEY)
    assert logs.stat(KEY) is None


def test_parts_are_dropped_by_the_whole_key(logs: ObjectStore) -> None:
    """However often the object was begun. A dropped upload makes no object. None to drop is no error."""
    keys = ["t1/1/stdout-a", "t1/1/stdout-a.log", "t1/1/stdout-a.log.1", "t1/1/stderr-a.log", "t11/1/stdout-a"]
    uploads = [(key, logs.begin_parts(key)) for key in [*keys, keys[0]]]
    sent = [logs.send_parts(key, upload, cut(b"part")) for key, upload in uploads]
    logs.abort_parts(keys[0])
    logs.abort_parts(keys[0])
    logs.abort_parts("t1/1/")
    logs.abort_parts("t2/1/stdout-a")
    for (key, upload), parts in zip(uploads, sent, strict=True):
        if key == keys[0]:
            with pytest.raises(InfrastructureError):
                logs.complete_parts(key, upload, parts, sha(b"part"))
        else:
            logs.complete_parts(key, upload, parts, sha(b"part"))
    assert [found.key for found in logs.listed()] == sorted(keys[1:])


@pytest.mark.parametrize("right", [True, False])
def test_an_object_with_another_etag_is_read_back(settings: Settings, monkeypatch: pytest.MonkeyPatch, *, right: bool) -> None:
    """A server that makes other ETags, as with encryption, is believed only if it has the right bytes."""
    logs, complete = MinioObjectStore(settings), MultipartMinio.complete_parts
    logs.prepare()
    monkeypatch.setattr(MultipartMinio, "complete_parts", lambda *args: f"not {complete(*args)}")
    upload = logs.begin_parts(KEY)
    sent = logs.send_parts(KEY, upload, cut(b"sent"))
    if right:
        logs.complete_parts(KEY, upload, sent, sha(b"sent"))
        return
    with pytest.raises(InfrastructureError, match="not what was sent"):
        logs.complete_parts(KEY, upload, sent, sha(b"meant"))


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
def test_who_may_not_drop_parts_leaves_them_to_the_storage(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A task of a bucket with few rights ends like any other."""
    logs = MinioObjectStore(settings)
    logs.prepare()
    logs.begin_parts(KEY)

    def refused(*_: object) -> None:
        raise S3Error(None, code, "no", None, None, None)  # type: ignore[arg-type]

    monkeypatch.setattr(MultipartMinio, "abort_parts", refused)
    logs.abort_parts(KEY)
    monkeypatch.undo()
    assert begun(settings) == [KEY]


def test_parts_that_somebody_else_drops_are_no_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed, and gone before they are dropped; the other upload of the object is dropped all the same."""
    logs, abort = MinioObjectStore(settings), MultipartMinio.abort_parts
    logs.prepare()
    for _ in range(2):
        logs.begin_parts(KEY)

    def twice(*args: object) -> None:
        abort(*args)
        abort(*args)

    monkeypatch.setattr(MultipartMinio, "abort_parts", twice)
    logs.abort_parts(KEY)
    assert begun(settings) == []


def test_parts_are_dropped_on_a_server_that_lists_no_prefix(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """MinIO lists only the uploads of the object whose whole key is the prefix."""
    logs, listed = MinioObjectStore(settings), MultipartMinio._list_multipart_uploads

    def as_minio(self: MultipartMinio, bucket: str, prefix: str) -> ListMultipartUploadsResult:
        page = listed(self, bucket, prefix=prefix)
        page.uploads[:] = [upload for upload in page.uploads if upload.object_name == prefix]
        return page

    logs.prepare()
    for key in (KEY, KEY, "t1/2/stdout.log"):
        logs.begin_parts(key)
    with monkeypatch.context() as patch:
        patch.setattr(MultipartMinio, "_list_multipart_uploads", as_minio)
        logs.abort_parts(KEY)
    assert begun(settings) == ["t1/2/stdout.log"]
