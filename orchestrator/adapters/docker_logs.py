"""The output of a container read again from the engine's log, to the byte, whether or not the program still runs.

Following the log would be simpler, but engine 20.10 drops the tail when the program exits, and attaching with the log first
repeats or loses what is written meanwhile. Reading the whole log again and skipping what is known is exact, for as long as the
engine keeps all of it. Of a log that has grown past its bound, of which a task keeps both ends, the end is read by time.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_errors import SERVICE
from orchestrator.adapters.docker_frames import Demux
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Chunk, Phase, Stream

_READ = 1 << 16
_PAUSE, _SHARE = 1.0, 20


def replay(client: DockerClient, name: str, wait: Callable[[float], Phase]) -> Iterator[Chunk]:
    """All output from the first byte until the container has exited; ``wait`` waits that long for it and tells the phase.

    Raises InfrastructureError when the log cannot be read to its end, be it because the container is removed meanwhile.
    """
    known = Known()
    pause = 0.0
    try:
        while True:
            exited = wait(pause) is Phase.EXITED
            began = time.monotonic()
            yield from known.beyond(_frames(client, name))
            if exited:
                return
            pause = max(_PAUSE, _SHARE * (time.monotonic() - began))
    except ContainerMissing as error:
        raise InfrastructureError(SERVICE, f"the log broke off: {error}") from error


class Known:
    """What is known of one log: so many bytes of each stream or, once its beginning was dropped, all up to a time."""

    def __init__(self) -> None:
        self._seen: Counter[Stream] = Counter()
        self._last: dict[Stream, bytes] = {}
        self._first: Chunk | None = None
        self._dropped = False

    def beyond(self, frames: Iterator[Chunk]) -> Iterator[Chunk]:
        """The program's bytes that are new among all of the log's messages, which are known then."""
        first = next(frames, None)
        if first is None:
            return
        self._dropped |= self._first not in (None, first)
        self._first = first
        whole = chain([first], frames)
        if self._dropped:
            last = dict(self._last)
            later = (each for each in whole if _stamp(each) > last.get(each[0], b""))
            yield from whole_lines(self._noting(later))
        else:
            yield from beyond(whole_lines(self._noting(whole)), self._seen)

    def _noting(self, frames: Iterable[Chunk]) -> Iterator[Chunk]:
        for each in frames:
            self._last[each[0]] = _stamp(each)
            yield each


def _stamp(frame: Chunk) -> bytes:
    """The time at the head of a message, of a fixed width."""
    return frame[1].partition(b" ")[0]


def whole_lines(frames: Iterable[Chunk]) -> Iterator[Chunk]:
    """The program's bytes from the log's messages, each of which begins with a time stamp and a space.

    Parts of one long line share their stamp, and engine 20.10 forgets the newline after the last part: it is put back when a
    part is empty or a new stamp follows. At the very end of a stream nothing tells, and nothing is added.
    """
    unfinished: dict[Stream, bytes] = {}
    for stream, frame in frames:
        stamp, _, text = frame.partition(b" ")
        if unfinished.pop(stream, stamp) != stamp:
            yield stream, b"\n"
        yield stream, text or b"\n"
        if text and not text.endswith(b"\n"):
            unfinished[stream] = stamp


def beyond(chunks: Iterable[Chunk], seen: Counter[Stream]) -> Iterator[Chunk]:
    """The chunks without the first ``seen[stream]`` bytes of each stream; counts in ``seen`` what it hands out."""
    at: Counter[Stream] = Counter()
    for stream, data in chunks:
        new = data[max(seen[stream] - at[stream], 0) :]
        at[stream] += len(data)
        if new:
            seen[stream] += len(new)
            yield stream, new


def _frames(client: DockerClient, name: str) -> Iterator[Chunk]:
    demux = Demux()
    wanted = {"stdout": 1, "stderr": 1, "timestamps": 1}
    with client.stream("GET", f"/containers/{name}/logs", silence=client.timeout, params=wanted) as response:
        for data in response.iter_content(_READ):
            yield from demux.feed(data)
    demux.end()
