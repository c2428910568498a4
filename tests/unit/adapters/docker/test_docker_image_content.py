"""What is remembered of the content of images is bounded, for their owners choose how many there are; on a scripted engine."""

import pytest

from orchestrator.adapters.docker import cleanup, image_content
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.image_content import Insides
from orchestrator.adapters.docker.input_volume import archive
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import Handler, Stage, says


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers that are only looked through have one name, and the bounds are small."""
    monkeypatch.setattr(cleanup, "token_hex", lambda _: "x")
    monkeypatch.setattr(image_content, "_IMAGES", 3)
    monkeypatch.setattr(image_content, "_ACCOUNTS", 5)


def _passwd(handler: Handler) -> None:
    content = archive({"passwd": b"".join(b"u%d:x:%d:0::/home/u%d:/bin/sh\n" % (uid, uid, uid) for uid in range(1000))})
    handler.send_response(200)
    for name, value in {"Content-Length": str(len(content)), "X-Docker-Container-Path-Stat": "e30="}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def test_the_content_of_few_images_and_few_accounts_of_each_are_remembered(stage: Stage) -> None:
    """An image that was forgotten is read again."""
    look = "/containers/c1-look-x"
    stub, engine = stage(
        {"POST /containers/create": says(201, {"Id": "c1"}), f"GET {look}/archive": _passwd, f"DELETE {look}": says(204)}
    )
    insides, plan = Insides(engine._client), Bench(engine).plan("true", name="c1")
    for image in (*range(10), 9, 0):
        found = insides.of(plan, Image(f"sha256:{image}"))
        assert [account.uid for account in found.accounts] == [0, 1, 2, 3, 4]
        assert len(insides._known._facts) <= 3
    assert stub.calls.count(f"GET {look}/archive") == 11
