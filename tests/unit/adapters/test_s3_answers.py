"""What the store for S3 makes of odd answers: an error in an answer of 200, and a body that is no XML."""

import hashlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from urllib3 import HTTPResponse, PoolManager

from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.errors import InfrastructureError
from orchestrator.output.ahead import Ahead
from orchestrator.output.spool import Spool
from orchestrator.ports import SentPart, Stream
from orchestrator.settings.settings import Settings

KEY = "t/1/stdout-token.log"
ERROR = "<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>"
PAGE = "Service is starting <br> please wait"
BEGUN = f"<InitiateMultipartUploadResult><Key>{KEY}</Key><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
MADE = f'<CompleteMultipartUploadResult><Key>{KEY}</Key><ETag>"{"0" * 32}-1"</ETag></CompleteMultipartUploadResult>'
NO_KEY = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
Server = Callable[[Mapping[str, tuple[int, str]]], list[str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Answers by the kind of request; the kinds that were asked."""

    def answering(answers: Mapping[str, tuple[int, str]]) -> list[str]:
        asked: list[str] = []

        def urlopen(_: PoolManager, method: str, url: str, **more: object) -> HTTPResponse:
            query = url.partition("?")[2]
            asked.append(f"{method} {query.partition('=')[0] or 'object'}")
            status, body = answers.get(asked[-1], (200, ""))
            head = {"content-type": "application/xml", "etag": '"e"'}
            return HTTPResponse(BytesIO(body.encode()), head, status, preload_content=bool(more.get("preload_content", True)))

        monkeypatch.setattr(PoolManager, "urlopen", urlopen)
        return asked

    return answering


@pytest.fixture
def store() -> MinioObjectStore:
    """A store whose server is the one of ``server``."""
    return MinioObjectStore(Settings())


def _complete(store: MinioObjectStore) -> None:
    store.complete_parts(KEY, "u1", [SentPart("e", b"md5")], hashlib.sha256(b"sent").hexdigest())


def test_an_error_in_an_answer_of_200_is_infrastructure(server: Server, store: MinioObjectStore) -> None:
    """S3 begins its answer before it has made the object. Without an ETag no object is looked for."""
    asked = server({"POST uploadId": (200, ERROR)})
    with pytest.raises(InfrastructureError, match="the answer has no ETag"):
        _complete(store)
    assert asked == ["POST uploadId"]


def test_an_object_that_is_not_there_on_reading_back_is_infrastructure(server: Server, store: MinioObjectStore) -> None:
    """The answer said that it was made."""
    server({"POST uploadId": (200, MADE), "GET object": (404, NO_KEY)})
    with pytest.raises(InfrastructureError, match=f"s3: object {KEY} is not there"):
        _complete(store)


def test_a_put_whose_answer_has_an_error_leaves_no_parts(server: Server, store: MinioObjectStore, tmp_path: Path) -> None:
    """A file of several parts is put by the same requests."""
    (tmp_path / "stdout").write_bytes(content := bytes(6 << 20))
    asked = server({"POST uploads": (200, BEGUN), "POST uploadId": (200, ERROR)})
    with pytest.raises(InfrastructureError):
        store.put(KEY, tmp_path / "stdout", hashlib.sha256(content).hexdigest())
    assert asked[-1] == "DELETE uploadId"


CALLS: Mapping[str, Callable[[MinioObjectStore], object]] = {
    "POST uploads": lambda store: store.begin_parts(KEY),
    "POST uploadId": _complete,
    "GET delimiter": lambda store: [*store.listed("t/")],
    "POST delete": lambda store: store.remove([KEY]),
}


@pytest.mark.parametrize("body", ["", PAGE, "<Other/>", "<Other>"])
@pytest.mark.parametrize("request_", ["POST uploads", "POST uploadId"])
def test_a_body_that_is_not_what_was_asked_for_is_infrastructure(
    server: Server, store: MinioObjectStore, request_: str, body: str
) -> None:
    """As that of a proxy."""
    server({request_: (200, body)})
    with pytest.raises(InfrastructureError, match="s3: "):
        CALLS[request_](store)


@pytest.mark.parametrize("request_", CALLS)
def test_a_body_that_is_no_xml_is_infrastructure(server: Server, store: MinioObjectStore, request_: str) -> None:
    """Of the calls that read one."""
    asked = server({request_: (200, PAGE)})
    with pytest.raises(InfrastructureError, match="s3: the answer cannot be read"):
        CALLS[request_](store)
    assert request_ in asked


@pytest.mark.parametrize("answer", [ERROR, PAGE])
def test_output_whose_last_answer_has_an_error_is_left_to_the_spool(
    server: Server, store: MinioObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """It was sent ahead. It is stored as a whole then."""
    monkeypatch.setattr("orchestrator.output.ahead.PART", 10)
    server({"POST uploads": (200, BEGUN), "POST uploadId": (200, answer)})
    spool = Spool(tmp_path / "spool", 1000)
    spool.open()
    ahead = Ahead(store, spool, lambda _: KEY, lambda: False, lambda _: True)
    spool.write(Stream.STDOUT, bytes(25))
    assert ahead.send()
    assert ahead.finish(Stream.STDOUT, spool.seal(complete=True)[Stream.STDOUT]) == ""
    assert ahead.strays == [KEY]
