"""Answers of a MongoDB server that is no primary any more, as they look on the wire."""

import struct
from collections.abc import Mapping

import bson
from attrs import define

UPDATE = rb"\x02update\x00"
"""What a request has that is an update."""
NOT_PRIMARY: Mapping[str, object] = {"ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"}
ROLLED_BACK: Mapping[str, object] = {
    "ok": 1.0,
    "n": 1,
    "nModified": 1,
    "writeConcernError": {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"},
}
"""The primary has applied the write and no majority has it; the next primary knows nothing of it."""
_OP_MSG = 2013


def reply_to(request: bytes, document: Mapping[str, object]) -> bytes:
    """The server's answer to a request."""
    (request_id,) = struct.unpack_from("<i", request, 4)
    body = struct.pack("<iB", 0, 0) + bson.encode(document)
    return struct.pack("<iiii", 16 + len(body), request_id + 1, request_id, _OP_MSG) + body


@define
class EveryOther:
    """Answers each request but those that follow one that was answered, so that each call succeeds at its second try."""

    document: Mapping[str, object]
    answered: int = 0
    passed: int = 0

    def __call__(self, request: bytes) -> bytes:
        """The answer; nothing for a request that is to reach the server."""
        if self.answered > self.passed:
            self.passed += 1
            return b""
        self.answered += 1
        return reply_to(request, self.document)
