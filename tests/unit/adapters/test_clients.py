"""For how long the clients of servers wait, and which authority the client of S3 trusts."""

import ssl
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme
from urllib3.exceptions import MaxRetryError

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.client import minio_client
from orchestrator.settings.settings import Settings


@pytest.mark.parametrize(
    ("options", "call", "connection"),
    [
        ("", 5.0, 3.0),
        ("/tasks?retryWrites=false", 5.0, 3.0),
        ("/?timeoutMS=60000", 60.0, 3.0),
        ("/?w=1&connecttimeoutms=45000&timeoutMS=60000", 60.0, 45.0),
    ],
)
def test_time_limits_in_the_uri_of_mongodb_hold(options: str, call: float, connection: float) -> None:
    """The operator knows how slow the server is; without them a call ends within seconds."""
    with mongo_client(Settings(mongo_uri=f"mongodb://me:secret@a:1,b:2{options}")) as client:
        assert client.options.timeout == call
        assert client.options.pool_options.connect_timeout == connection


def test_time_limits_in_the_url_of_redis_hold() -> None:
    """As those of MongoDB do."""
    with closing(redis_client(Settings(redis_url="redis://a:1/2?socket_timeout=60&socket_connect_timeout=45"))) as client:
        given = client.connection_pool.connection_kwargs
        assert (given["socket_timeout"], given["socket_connect_timeout"], given["db"]) == (60.0, 45.0, 2)


@pytest.mark.parametrize("options", ["", "/?w=1&journal=false&readConcernLevel=local"])
def test_a_client_of_mongodb_waits_for_a_majority_and_the_journal(options: str) -> None:
    """Whatever the URI says."""
    with mongo_client(Settings(mongo_uri=f"mongodb://a:1{options}")) as client:
        assert client.write_concern.document == {"w": "majority", "j": True}
        assert client.read_concern.level == "majority"


class _Bucket(BaseHTTPRequestHandler):
    """Has every bucket that it is asked for."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def test_the_client_of_s3_trusts_the_authority_that_ssl_cert_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/three-hosts.md says: there is no setting for it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), _Bucket) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(minio_endpoint=f"127.0.0.1:{server.server_port}", minio_use_ssl=True)
        with pytest.raises(MaxRetryError, match="certificate verify failed"):
            minio_client(settings).bucket_exists("bucket")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert minio_client(settings).bucket_exists("bucket")
        server.shutdown()
