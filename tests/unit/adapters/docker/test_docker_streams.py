"""Frames, live output, logs and samples of an engine, piece by piece."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker import attach as docker_attach
from orchestrator.adapters.docker import logs as docker_logs
from orchestrator.adapters.docker.attach import attach
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.demux import Demux, split_messages
from orchestrator.adapters.docker.http_chunks import unchunked
from orchestrator.adapters.docker.logs import replay
from orchestrator.adapters.docker.stats import sample_of, samples
from orchestrator.errors import ContainerMissing, InfrastructureError, OutputLost
from orchestrator.ports import Chunk, Phase, Stream
from orchestrator.settings.settings import Settings
from tests.support import pace
from tests.unit.adapters.docker.engine_stub import (
    Answer,
    StubEngine,
    apart,
    falls_silent,
    frame,
    raw,
    refuses,
    says,
    seen,
    streams,
    together,
    whole,
)

OUT, ERR = Stream.STDOUT, Stream.STDERR
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
ATTACH, LOGS, STATS = "POST /containers/c1/attach", "GET /containers/c1/logs", "GET /containers/c1/stats"
MESSAGE = 16384
LONG = b"x" * MESSAGE


def _talk(tmp_path: Path, **script: Answer | list[Answer]) -> tuple[StubEngine, DockerClient]:
    calls = {"attach": ATTACH, "logs": LOGS, "stats": STATS}
    stub = StubEngine(tmp_path, {calls[name]: answer for name, answer in script.items()})
    return stub, DockerClient(stub.url, 0.5)


@given(st.lists(st.tuples(st.sampled_from(list(Stream)), st.binary(max_size=9))), st.lists(st.integers(1, 7), min_size=1))
def test_frames_are_whole_however_the_bytes_arrive(chunks: list[tuple[Stream, bytes]], steps: list[int]) -> None:
    """Cut anywhere, even inside a header, the same frames come out."""
    data = b"".join(frame(1 + list(Stream).index(stream), payload) for stream, payload in chunks)
    demux, got, at = Demux(), [], 0
    while at < len(data):
        step = steps[at % len(steps)]
        got += demux.feed(data[at : at + step])
        at += step
    assert got == chunks


def _pieces(data: bytes, steps: list[int]) -> Iterator[bytes]:
    """The data, cut at these steps again and again."""
    at = turn = 0
    while at < len(data):
        yield data[at : at + steps[turn % len(steps)]]
        at, turn = at + steps[turn % len(steps)], turn + 1


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(1, 9), min_size=1))
def test_chunks_of_http_are_taken_apart_however_the_bytes_arrive(parts: list[bytes], steps: list[int]) -> None:
    """Cut anywhere, even inside a size; a body without its last chunk is an error, wherever it was cut."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    assert b"".join(unchunked(_pieces(coded, steps))) == b"".join(parts)
    for missing in range(len(b"\r\n") + 1, len(coded) + 1):
        with pytest.raises(InfrastructureError, match="cut before the end"):
            list(unchunked(_pieces(coded[:-missing], steps)))


@given(
    st.lists(st.tuples(st.sampled_from(list(Stream)), st.binary(max_size=9)), max_size=20),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_messages_of_a_log_are_whole_however_the_bytes_arrive(texts: list[tuple[Stream, bytes]], steps: list[int]) -> None:
    """Each has its stream, its stamp and its text, whatever is in the text."""
    messages = [(stream, b"%d " % number + text) for number, (stream, text) in enumerate(texts)]
    data = b"".join(frame(1 + list(Stream).index(stream), message) for stream, message in messages)
    rest, got = b"", []
    for piece in _pieces(data, steps):
        came, rest = split_messages(rest + piece)
        got += apart([came])
    assert (got, rest) == (messages, b"")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (streams(frame(3, b"error from daemon")), "error from daemon"),
        (streams(frame(1, b"1 a\n")[:-1]), "broke off in a frame"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), "a chunk of the size"),
        (says(200, "a body"), "its end cannot be checked"),
        (falls_silent, "timed out"),
    ],
)
def test_a_log_that_cannot_be_read_says_why(tmp_path: Path, answer: Answer, words: str) -> None:
    """Nothing of it is taken for the whole."""
    stub, client = _talk(tmp_path, logs=answer)
    with stub, pytest.raises(InfrastructureError, match=words):
        list(replay(client, "c1", lambda _: seen(Phase.EXITED), inf))


def test_the_engines_complaint_in_a_stream_is_an_error() -> None:
    """A frame of the third kind carries one."""
    with pytest.raises(InfrastructureError, match="cannot read the log"):
        Demux().feed(frame(3, b"cannot read the log"))


def test_output_that_comes_with_the_head_is_not_lost(tmp_path: Path) -> None:
    """One packet may carry both."""
    with (stub := _talk(tmp_path, attach=raw(UPGRADED, frame(1, b"a"), frame(2, b"b")))[0]):
        assert list(attach(DockerClient(stub.url, 0.5), "c1", None, lambda: False, whole)) == [(OUT, b"a"), (ERR, b"b")]


def test_output_that_breaks_off_in_a_frame_is_not_taken_for_its_end(tmp_path: Path) -> None:
    """Though the connection ends as it does when the program has."""
    with (stub := _talk(tmp_path, attach=raw(UPGRADED, frame(1, b"a"), frame(2, b"bc")[:-1]))[0]):
        output = attach(DockerClient(stub.url, 0.5), "c1", None, lambda: False, whole)
        with pytest.raises(InfrastructureError, match="broke off in a frame"):
            list(output)


def test_an_end_that_comes_over_a_network_may_be_a_cut() -> None:
    """So it is not taken for the end of the program."""
    ours, theirs = socket.socketpair()
    theirs.sendall(frame(1, b"a"))
    theirs.close()
    output = docker_attach._output([ours], lambda: False, whole, sure=False)
    assert [next(output), next(output)] == [(OUT, b""), (OUT, b"a")]
    with pytest.raises(InfrastructureError, match="over a network"):
        next(output)


def test_a_connection_that_is_reset_was_cut() -> None:
    """Whatever the program does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        output = docker_attach._output([ours], lambda: True, whole, sure=True)
        next(output)
        theirs.close()
        with pytest.raises(InfrastructureError, match="was cut"):
            list(output)


def test_attaching_to_nothing_is_missing(tmp_path: Path) -> None:
    """The refusal comes in the place of the stream."""
    stub, client = _talk(tmp_path, attach=refuses(404, "No such container: c1"))
    with stub, pytest.raises(ContainerMissing, match="No such container"):
        attach(client, "c1", None, lambda: False, whole)


def test_only_sockets_and_tcp_can_be_attached_over() -> None:
    """Said when it is tried, with what would do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = DockerClient(f"https://127.0.0.1:{server.getsockname()[1]}", 0.1)
        with pytest.raises(InfrastructureError):
            client.hijack("/containers/c1/attach")


def whole_lines(messages: Iterable[Chunk], *, exact: bool) -> Iterator[Chunk]:
    """The lines of messages that come one by one."""
    return docker_logs.whole_lines((together([message]) for message in messages), exact=exact)


def _messages(*parts: tuple[str, bytes]) -> Iterator[tuple[Stream, bytes]]:
    return ((OUT, f"{stamp} ".encode() + text) for stamp, text in parts)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], b""),
        ([("1", b"a\n"), ("2", b"\n"), ("3", b"b\n")], b"a\n\nb\n"),
        ([("1", b"a\n"), ("2", b"no newline")], b"a\nno newline"),
        ([("1", LONG), ("1", b"tail"), ("2", b"b\n")], LONG + b"tail\nb\n"),
        ([("1", LONG), ("1", b"tail\n"), ("2", b"b\n")], LONG + b"tail\nb\n"),
        ([("1", LONG), ("1", b"")], LONG + b"\n"),
        ([("1", LONG), ("1", b"\n")], LONG + b"\n"),
        ([("1", LONG), ("1", b""), ("2", LONG), ("2", b"")], (LONG + b"\n") * 2),
        ([("1", LONG), ("1", LONG)], LONG * 2),
        ([("1", b"time 2 in the text\n")], b"time 2 in the text\n"),
    ],
)  # fmt: skip
def test_lines_that_the_log_cut_are_whole_again(messages: list[tuple[str, bytes]], expected: bytes) -> None:
    """From an engine that forgets the newline after a long line, and from one that does not."""
    assert b"".join(data for _, data in whole_lines(_messages(*messages), exact=False)) == expected
    at_once = docker_logs.whole_lines([together(_messages(*messages))], exact=False)
    assert b"".join(data for _, data in at_once) == expected


@pytest.mark.parametrize("last", [[("1", b"end")], [("1", LONG), ("1", b"end")]])
def test_whether_a_last_long_line_ended_is_not_known(last: list[tuple[str, bytes]]) -> None:
    """The log forgets that newline: what is there is handed out, and the doubt told of the stream that it is about."""
    messages = [(ERR, b"1 " + LONG), (ERR, b"1 \n"), *_messages(("1", LONG), *last)]
    got = []
    with pytest.raises(OutputLost) as told:
        got.extend(whole_lines(messages, exact=False))
    assert b"".join(data for stream, data in got if stream is OUT) == LONG + b"".join(text for _, text in last)
    assert told.value.streams == {OUT}


@pytest.mark.parametrize("end", [b"end", b"end\n", b"\n", LONG])
def test_an_engine_that_keeps_the_newline_of_a_long_line_is_taken_at_its_word(end: bytes) -> None:
    """Nothing is put back, and there is no doubt."""
    messages = _messages(("1", LONG), ("1", end))
    assert b"".join(data for _, data in whole_lines(messages, exact=True)) == LONG + end


@pytest.mark.parametrize(("version", "exact"), [("1.41", False), ("1.42", True), ("1.45", True), ("2.0", True)])
def test_the_version_of_the_engine_tells_whether_its_log_keeps_newlines(tmp_path: Path, version: str, *, exact: bool) -> None:
    """Since 23, whose API is 1.42, a last long line without a newline had none."""
    answer = streams(frame(1, b"1 " + LONG), frame(1, b"1 end"))
    with StubEngine(tmp_path, {LOGS: answer}, version) as stub:
        output = replay(DockerClient(stub.url, 0.5), "c1", lambda _: seen(Phase.EXITED), inf)
        with nullcontext() if exact else pytest.raises(OutputLost):
            assert b"".join(data for _, data in output) == LONG + b"end"


def test_streams_are_put_together_apart() -> None:
    """A long line on one is not ended by what the other says meanwhile."""
    messages = [(OUT, b"1 " + LONG), (ERR, b"2 e\n"), (OUT, b"1 tail\n")]
    assert list(whole_lines(messages, exact=False)) == [(OUT, LONG), (ERR, b"e\n"), (OUT, b"tail\n")]


def test_a_log_is_read_until_the_program_ends(tmp_path: Path) -> None:
    """Each reading goes on where the last one ended."""
    parts = [frame(1, b"1 a\n"), frame(2, b"2 b\n"), frame(1, b"3 c\n")]
    answers = [streams(*parts[:count]) for count in (1, 2, 2, 3)]
    phases = iter([Phase.RUNNING] * 3 + [Phase.EXITED])
    stub, client = _talk(tmp_path, logs=answers)
    with stub:
        assert list(replay(client, "c1", lambda _: seen(next(phases)), inf)) == [(OUT, b"a\n"), (ERR, b"b\n"), (OUT, b"c\n")]


def test_a_long_log_keeps_no_heartbeat_waiting(tmp_path: Path) -> None:
    """While hundreds of thousands of lines are read, a thread that wants to renew leases does so in time."""
    lines, lease = 200_000, Settings().lease_ttl
    line = frame(1, b"2030-05-17T12:00:00.123456789Z \n")
    body = b"%x\r\n%b\r\n" % (len(line), line) * lines + b"0\r\n\r\n"
    over, beats = threading.Event(), [time.monotonic()]

    def beat() -> None:
        while not over.wait(0.02):
            beats.append(time.monotonic())

    beating = threading.Thread(target=beat, daemon=True)
    with StubEngine(tmp_path, {LOGS: raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body)}) as stub:
        beating.start()
        chunks = [data for _, data in replay(DockerClient(stub.url, 60), "c1", lambda _: seen(Phase.EXITED), inf)]
    beats.append(time.monotonic())
    over.set()
    beating.join()
    assert sum(map(len, chunks)) == lines
    assert max(map(len, chunks)) < lines
    assert max(later - before for before, later in pairwise(beats)) < pace.seconds(lease / 3)


@pytest.mark.parametrize("answer", [streams(frame(1, b"1 a\n"), whole=False), refuses(409, "marked for removal")])
def test_a_log_that_breaks_off_is_an_error(tmp_path: Path, answer: Answer) -> None:
    """A part is not the whole."""
    stub, client = _talk(tmp_path, logs=answer)
    with stub, pytest.raises(InfrastructureError):
        list(replay(client, "c1", lambda _: seen(Phase.EXITED), inf))


def _reading(
    total: int, system: int | None, before: tuple[int, int | None], memory: object = None, **cpu: object
) -> dict[str, object]:
    return {
        "cpu_stats": {"cpu_usage": {"total_usage": total, "percpu_usage": [1, 2, 3]}, "system_cpu_usage": system, **cpu},
        "precpu_stats": {"cpu_usage": {"total_usage": before[0]}, "system_cpu_usage": before[1]},
        "memory_stats": memory or {"usage": 100, "stats": {}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reading", "percent"),
    [
        (_reading(150, 2000, (100, 1000), online_cpus=2), 10.0),
        (_reading(150, 2000, (100, 1000)), 15.0),
        (_reading(100, 2000, (100, 1000), online_cpus=2), 0.0),
        (_reading(150, 1000, (100, 1000), online_cpus=2), 0.0),
    ],
    ids=["of online CPUs", "of the CPUs listed", "idle", "no time passed"],
)
def test_cpu_is_what_docker_stats_shows(reading: dict[str, object], percent: float) -> None:
    """The share of the machine's time, times its CPUs."""
    sample = sample_of(reading)
    assert sample is not None
    assert sample.cpu_percent == pytest.approx(percent)


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"usage": 100, "stats": {"total_inactive_file": 30, "inactive_file": 10}}, 70),
        ({"usage": 100, "stats": {"inactive_file": 10}}, 90),
        ({"usage": 100, "stats": {"total_inactive_file": 200, "inactive_file": 10}}, 90),
        ({"usage": 100, "stats": {"inactive_file": 100}}, 100),
        ({"usage": 100}, 100),
    ],
    ids=["cgroup v1", "cgroup v2", "nonsense on v1", "all of it cache", "no details"],
)
def test_memory_is_what_docker_stats_shows(stats: dict[str, object], expected: int) -> None:
    """Without the page cache that can be dropped."""
    sample = sample_of(_reading(2, 2, (1, 1), stats))
    assert sample is not None
    assert sample.memory_bytes == expected


def _lines(*readings: dict[str, object]) -> bytes:
    return b"".join(json.dumps(reading).encode() + b"\n" for reading in readings)


FIRST, SECOND, ENDED = _reading(1, 10, (0, None)), _reading(2, 20, (1, 10)), _reading(0, None, (2, 20))


@pytest.mark.parametrize(
    "answer",
    [
        streams(_lines(FIRST, SECOND, ENDED, ENDED)),
        streams(_lines(FIRST, SECOND)),
        streams(_lines(FIRST, SECOND), b'{"cpu_st', whole=False),
        streams(_lines(FIRST, SECOND), b'{"cpu_st'),
    ],
    ids=["exited", "ends", "breaks off", "half a line"],
)
def test_samples_end_with_the_program_or_the_stream(tmp_path: Path, answer: Answer) -> None:
    """The first reading has nothing to compare with; one without the machine's time comes from a program that has ended."""
    stub, client = _talk(tmp_path, stats=answer)
    with stub:
        assert len(list(samples(client, "c1"))) == 1


def test_nothing_is_opened_before_the_first_sample_is_asked_for(tmp_path: Path) -> None:
    """A short program is not charged for it."""
    stub, client = _talk(tmp_path, stats=falls_silent)
    with stub:
        samples(client, "c1")
        assert stub.calls == []
