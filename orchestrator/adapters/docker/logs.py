"""The output of a container read again from the engine's log, to the byte, whether or not the program still runs.

It would be simpler to follow the log, but engine 20.10 drops the tail when the program exits. An attach with the log first
repeats or loses bytes that are written at that time. So the whole log is read again, and known bytes are skipped, which is
exact.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

from attrs import define

from orchestrator.adapters.docker import log_end as docker_cut
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.demux import Messages, log_messages
from orchestrator.adapters.docker.engine_facts import log_keeps_newlines
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.log_dedup import GrowingLog
from orchestrator.errors import ContainerMissing, InfrastructureError, OutputLost
from orchestrator.ports import Chunk, ContainerState, Phase, Stream

_PAUSE, _SHARE = 1.0, 20
_MESSAGE = 16384


def replay(client: DockerClient, name: str, wait: Callable[[float], ContainerState], keeps: float) -> Generator[Chunk]:
    """All output from the first byte until the container has exited.

    ``wait`` waits up to so many seconds for the exit, and returns the state. ``keeps`` is for ``GrowingLog``. Raises
    InfrastructureError if the log cannot be read to its end, also if the container is removed during the reading. Raises
    OutputLost at the end if the log may be incomplete.
    """
    try:
        yield from whole_lines(_messages(client, name, wait, GrowingLog(keeps)), exact=_keeps_newlines(client))
    except ContainerMissing as error:
        raise InfrastructureError(SERVICE, f"the log broke off: {error}") from error


def whole_lines(log: Iterable[Messages], *, exact: bool) -> Iterator[Chunk]:
    """The program's bytes from the log's messages. Messages that came together make one chunk for each stream.

    Parts of one long line share their stamp. Unless the log is ``exact``, the engine forgets the newline after the last part.
    It is added again if a part is empty or a new stamp follows. At the end of a stream it is unknown whether there was a
    newline: none is added, and OutputLost is raised.
    """
    lines = {stream: _Lines() for stream in Stream}
    try:
        for messages in log:
            for stream in Stream:
                texts = messages.of(stream).texts
                if data := b"".join(texts) if exact else lines[stream].join(messages.of(stream)):
                    yield stream, data
    except OutputLost as error:
        raise OutputLost(error.streams | _untold(lines), str(error)) from error
    if untold := _untold(lines):
        raise OutputLost(untold, "the log does not tell whether its last line, a long one, ended with a newline")


@define
class _Lines:
    """Joins the lines of one stream. ``unfinished`` is the stamp of a line whose end has not come.

    ``untold`` says that its end may have come, because the engine forgets such a newline.
    """

    unfinished: bytes | None = None
    untold: bool = False

    def join(self, messages: Messages) -> bytes:
        """The bytes of the next messages.

        A message has at most one newline, at its end, so a count shows whether all have one.
        """
        if self.unfinished is None:
            data = b"".join(messages.texts)
            if data.count(b"\n") == len(messages):
                return data
        return b"".join(
            part for stamp, text in zip(messages.stamps, messages.texts, strict=True) for part in self._next(stamp, text)
        )

    def _next(self, stamp: bytes, text: bytes) -> Iterator[bytes]:
        before, self.unfinished = self.unfinished, None
        if before not in {None, stamp}:
            yield b"\n"
        yield text or b"\n"
        self.untold = False
        if text and not text.endswith(b"\n"):
            self.unfinished = stamp
            self.untold = before == stamp and len(text) < _MESSAGE


def _untold(lines: Mapping[Stream, _Lines]) -> frozenset[Stream]:
    return frozenset(stream for stream, each in lines.items() if each.untold)


def _keeps_newlines(client: DockerClient) -> bool:
    with translated():
        return log_keeps_newlines(client.api.api_version)


def _messages(client: DockerClient, name: str, wait: Callable[[float], ContainerState], log: GrowingLog) -> Iterator[Messages]:
    """Each message of the log once, until the container has exited."""
    pause = 0.0
    while True:
        state = wait(pause)
        began = time.monotonic()
        yield from log.new(log_messages(client, name))
        if state.phase is Phase.EXITED:
            break
        pause = max(_PAUSE, _SHARE * (time.monotonic() - began))
    if log.lost:
        raise OutputLost(list(Stream), "the log is so long that the engine may have dropped its beginning")
    if lost := docker_cut.of_log(client, state, log):
        raise OutputLost(lost, docker_cut.CUT)
