"""Stores the output of running programs ahead of their end, beside the capture and never in its way.

One thread serves all tasks of the process. It looks how long each spool has become, and sends what will not change any more,
part by part. A stream of one part is left for the end of its program. Whatever goes wrong, the spool is stored whole then.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Protocol

from attrs import define, field

from orchestrator import private_files as private
from orchestrator.errors import BytesChanged, InfrastructureError, Superseded
from orchestrator.log import logger
from orchestrator.output.spool import Sealed, Spool
from orchestrator.ports import ObjectStore, SentPart, Stream

PART = 5 << 20
"""Bytes of a part, the least that S3 takes. A stream of one part is put by one request."""
_INTERVAL = 0.25
"""Seconds between two looks; the first is that long after the start, so a program that ends before costs nothing."""
_IDLE = 10.0
"""Seconds without a task after which the thread ends; the next task starts another."""


class Digest(Protocol):
    """A checksum that grows."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The checksum."""


@define(eq=False)
class _Begun:
    """An object whose parts are being sent."""

    key: str
    upload: str
    sent: list[SentPart] = field(factory=list)
    at: int = 0
    """Bytes that were read."""
    digest: Digest = field(factory=hashlib.sha256)


@define(eq=False)
class Ahead:
    """What is sent of one attempt's spool. Made by ``AheadSender.follow``."""

    objects: ObjectStore
    spool: Spool
    key_of: Callable[[Stream], str]
    """The key of a stream's object. No other holder of the task may have the same."""
    lost: Callable[[], bool]
    """Whether somebody else has the task."""
    note: Callable[[str], bool]
    """Notes the key of an object that is about to be begun, so that others find it; False if it is too early for that."""
    left: set[str] = field(factory=set)
    """The keys of all that may have been begun and is not complete, also of other attempts and holders."""
    earlier: "Ahead | None" = None
    """What was sent of an earlier spool of the attempt, to objects with the same keys."""
    strays: list[str] = field(factory=list)
    """Keys of objects that may be there all the same, though it was not told."""
    over: bool = False
    """Nothing more is sent before the end of the program."""
    _failed: bool = False
    _begun: dict[Stream, _Begun] = field(factory=dict)
    _complete: dict[Stream, tuple[str, str]] = field(factory=dict)
    _sending: threading.Lock = field(factory=threading.Lock)

    def send(self) -> bool:
        """Send a part of a stream that has more than one; whether there was any."""
        with self._sending:
            try:
                return any(self._send(stream) for stream in Stream)
            except (OSError, InfrastructureError, Superseded) as error:
                logger.debug("the output is stored once the program has ended: {}", error)
                self.over = self._failed = True
                return False

    def finish(self, stream: Stream, sums: Sealed) -> str:
        """Send what is left of the stream, which is sealed, and make its object; its key. Empty if that is not to be had."""
        self.over = True
        with self._sending:
            if self._complete.get(stream, ("", ""))[1] == sums.sha256:
                return self._complete[stream][0]
            begun = self._begun.pop(stream, None)
            if self._failed or begun is None:
                return ""
            try:
                self._send_parts(begun, self._rest(stream, begun, sums))
                self.objects.complete_parts(begun.key, begun.upload, begun.sent, sums.sha256)
            except (OSError, InfrastructureError) as error:
                logger.warning("the output is stored once more, as a whole: {}", error)
                self.strays.append(begun.key)
                return ""
            self._complete[stream] = begun.key, sums.sha256
            if self.earlier is None:
                self.left.discard(begun.key)
            return begun.key

    def stop(self) -> None:
        """Send nothing more; what is on its way has arrived, or failed, when this returns."""
        self.over = True
        with self._sending:
            self._failed = True
        if self.earlier:
            self.earlier.stop()

    def drop(self) -> None:
        """Let go of what was begun: another holder may not have seen it. Storage that is away drops it by its own rule."""
        with suppress(InfrastructureError), self._sending:
            for begun in self._begun.values():
                self.objects.abort_parts(begun.key)

    def _send(self, stream: Stream) -> bool:
        begun = self._begun.get(stream)
        at = begun.at if begun else 0
        if self.over or self.lost() or self.spool.kept(stream) - at <= PART:
            return False
        key = self.key_of(stream)
        if begun is None and not self.note(key):
            return False
        begun = begun or self._begin(stream, key)
        self._send_parts(begun, self._read(stream, begun, at + PART))
        return True

    def _send_parts(self, begun: _Begun, parts: Generator[bytes]) -> None:
        begun.sent += self.objects.send_parts(begun.key, begun.upload, parts, len(begun.sent) + 1)

    def _begin(self, stream: Stream, key: str) -> _Begun:
        self.left.add(key)
        begun = self._begun[stream] = _Begun(key, self.objects.begin_parts(key))
        return begun

    def _rest(self, stream: Stream, begun: _Begun, sums: Sealed) -> Generator[bytes]:
        """What was not sent yet. Raises BytesChanged if all of it is not what was sealed."""
        yield from self._read(stream, begun, sums.bytes)
        if begun.digest.hexdigest() != sums.sha256:
            raise BytesChanged(stream)

    def _read(self, stream: Stream, begun: _Begun, end: int) -> Generator[bytes]:
        path = self.spool.path(stream)
        with private.opened(path.parent, path.name, "rb") as file:
            while begun.at < end and (data := os.pread(file.fileno(), min(end - begun.at, PART), begun.at)):
                begun.digest.update(data)
                begun.at += len(data)
                yield data


class AheadSender:
    """The thread that sends. It has one part at a time."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._change = threading.Condition()
        self._tasks: list[Ahead] = []
        self._thread: threading.Thread | None = None

    def follow(
        self,
        spool: Spool,
        key_of: Callable[[Stream], str],
        lost: Callable[[], bool],
        note: Callable[[str], bool],
        left: set[str],
        earlier: Ahead | None = None,
    ) -> Ahead:
        """Send what comes into the spool, until its end."""
        ahead = Ahead(self._objects, spool, key_of, lost, note, left, earlier)
        with self._change:
            self._tasks.append(ahead)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
                self._thread.start()
            self._change.notify()
        return ahead

    def _run(self) -> None:
        while self._await_task():
            if not self._send():
                threading.Event().wait(_INTERVAL)

    def _await_task(self) -> bool:
        """Wait for a task; False when there was none for a while, which ends the thread."""
        for task in [task for task in self._tasks if task.lost()]:
            task.over = True
            task.drop()
        with self._change:
            self._tasks = [task for task in self._tasks if not task.over]
            if not self._change.wait_for(lambda: self._tasks, _IDLE):
                self._thread = None
                return False
        return True

    def _send(self) -> bool:
        """A part of each task, in turn."""
        sent = False
        for task in [*self._tasks]:
            sent = task.send() or sent
        return sent
