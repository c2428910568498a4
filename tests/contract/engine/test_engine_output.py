"""Output and input, to the byte, on Docker."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.adapters.docker import attach as docker_attach
from orchestrator.adapters.docker import stdin as docker_feed
from orchestrator.errors import InfrastructureError, OutputLost
from orchestrator.output.spool import Sealed, Spool
from orchestrator.ports import Chunk, Phase, Stream
from orchestrator.task.limits import Limits
from tests.support import pace
from tests.support.containers import PATIENCE, Bench, joined, library
from tests.support.worker_process import until

EVERY_BYTE = bytes(range(256))
PRINTF = "printf '" + "".join(f"\\{byte:03o}" for byte in EVERY_BYTE) + "'"
MANY = 5_000_000
LINES = int(2_080_000 / pace.slowness())
"""So many empty lines fill the engine's buffers of a stream, and a program that wrote them ends while they are full.

A slow machine takes longer for fewer than the engine waits for its log.
"""
FLOOD = f"awk 'BEGIN {{ for (i = 0; i < {MANY // 1000}; i++) printf \"%0999d\\n\", i }}'"
AWKWARD = {
    "every byte, no newline at the end": (PRINTF, EVERY_BYTE),
    "every byte, then a newline": (f"{PRINTF}; echo", EVERY_BYTE + b"\n"),
    "nothing": ("true", b""),
    "no newline at the end": ("printf 'a\\nb'", b"a\nb"),
    "empty lines": ("echo; echo; echo", b"\n\n\n"),
    "carriage returns": ("printf 'a\\r\\n\\r\\n'", b"a\r\n\r\n"),
    "a part of a line, later the rest": (f"printf a; sleep {pace.seconds(0.2)}; echo b", b"ab\n"),
    "as long as a message of the log": ("head -c 16384 /dev/zero; echo; echo b", bytes(16384) + b"\nb\n"),
    "a byte longer": ("head -c 16385 /dev/zero; echo; echo b", bytes(16385) + b"\nb\n"),
    "messages long, no newline": ("head -c 32768 /dev/zero", bytes(32768)),
    "two long lines": ("for i in 1 2; do head -c 16384 /dev/zero; echo; done", (bytes(16384) + b"\n") * 2),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), AWKWARD.values(), ids=AWKWARD.keys())
def test_output_is_exact_while_it_comes_and_when_it_is_read_again(docker: Bench, script: str, expected: bytes) -> None:
    """Exactly the bytes of the program, from the live stream and from the log."""
    plan = docker.plan(script)
    ran = docker.run_plan(plan)
    assert ran.stdout == expected
    assert docker.logged(ran.state.id) == {"stdout": expected, "stderr": b""}


@pytest.mark.parametrize("end", ["", "; echo"], ids=["no newline", "newline"])
def test_a_last_long_line_is_read_again_as_it_was_or_marked(docker: Bench, tmp_path: Path, end: str) -> None:
    """The live stream is exact. So is the log of an engine that keeps the newline; else its stream is marked, no other one."""
    ran = docker.run(f"echo e >&2; head -c 20000 /dev/zero{end}")
    expected = bytes(20000) + (b"\n" if end else b"")
    assert ran.stdout == expected
    sums = _read_again(docker.engine.read_log(ran.state.id), Spool(tmp_path, 1 << 20))
    kept = _keeps_the_newline_of_a_long_line(docker)
    assert (tmp_path / "stdout").read_bytes() == (expected if kept else bytes(20000))
    assert [sums[stream].truncated for stream in (Stream.STDOUT, Stream.STDERR)] == [not kept, False]


def _keeps_the_newline_of_a_long_line(docker: Bench) -> bool:
    """What this engine does, by its own log of such a line."""
    container = docker.run("head -c 20000 /dev/zero; echo").state.id
    with library() as client:
        log = client.containers.get(container).logs()
    assert log.rstrip(b"\n") == bytes(20000)
    return log.endswith(b"\n")


def test_the_end_of_a_flood_is_right_though_the_log_has_dropped_its_beginning(docker: Bench, tmp_path: Path) -> None:
    """Read while it runs by a spool that drops the middle; nothing comes twice, and all of it is marked.

    The program waits until its last words were read, for what is said beside a flood is dropped with it.
    """
    waits = "trap 'a=1' USR1; trap 'b=1' USR2"
    script = f"{waits}; seq 100; echo early >&2; {_until('a')}; seq 101 200000; {_until('b')}; echo late >&2"
    limits = Limits(output=1000)
    container = docker.start(script, limits=limits)
    log = _answered(docker.engine.read_log(container), container, {b"early\n": "USR1", b"200000\n": "USR2"})
    sums = _read_again(log, Spool(tmp_path, limits.output, limits.output // 2))
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    stdout = (tmp_path / "stdout").read_bytes()
    assert stdout.endswith(whole[-limits.output // 2 :])
    assert stdout[:200] == whole[:200]
    assert (tmp_path / "stderr").read_bytes() == b"early\nlate\n"
    assert all(sums[stream].truncated for stream in Stream)


def _until(variable: str) -> str:
    return f'until [ "${variable}" ]; do sleep 0.1; done'


def _answered(log: Iterator[Chunk], container: str, signals: Mapping[bytes, str]) -> Iterator[Chunk]:
    """The log; its program gets a signal for each of these lines, once it is read."""
    with library() as client:
        for chunk in log:
            for line in signals.keys() & set(chunk[1].splitlines(keepends=True)):
                client.containers.get(container).kill(signals[line])
            yield chunk


def _read_again(log: Iterator[Chunk], spool: Spool) -> dict[Stream, Sealed]:
    spool.catch_up(log)
    return spool.seal(complete=True)


def test_both_streams_of_a_flood_are_whole_and_apart(docker: Bench) -> None:
    """Five million bytes on each, written at the same time."""
    plan = docker.plan(f"{FLOOD} & {FLOOD} >&2; wait")
    container = docker.engine.create(plan).id
    chunks = docker.engine.attach(container, None)
    docker.engine.start(container)
    live = joined(chunks)
    expected = b"".join(b"%0999d\n" % number for number in range(MANY // 1000))
    assert live == {"stdout": expected, "stderr": expected}
    docker.engine.wait(container, PATIENCE)
    assert docker.logged(container) == live


def test_a_flood_whose_end_the_engine_drops_is_not_taken_for_whole(docker: Bench) -> None:
    """A slow log holds up its streams, and some engines wait for them no longer than seconds, also for who reads them live."""
    script = f"yes '' | head -c {LINES} & yes '' | head -c {LINES} >&2; wait"
    container = docker.engine.create(docker.plan(script, limits=Limits(output=LINES))).id
    chunks = docker.engine.attach(container, None)
    docker.engine.start(container)
    sizes, lost = dict.fromkeys(Stream, 0), frozenset[str]()
    try:
        for stream, data in chunks:
            sizes[stream] += len(data)
    except OutputLost as error:
        lost = error.streams
    assert {stream for stream, size in sizes.items() if size < LINES} <= lost


def test_the_end_of_a_log_that_outgrows_its_bound_is_read(docker: Bench) -> None:
    """Though the engine drops more of its beginning than it kept, between one reading and the next; at the end that is told.

    The program waits until its end was read, for an engine that is behind at the exit may drop the end as well.
    """
    script = f"trap 'a=1' USR1; for i in 1 2 3; do seq ${{i}}000000 ${{i}}399999; sleep 3; done; {_until('a')}"
    container = docker.start(script, limits=Limits(output=1 << 10))
    chunks: list[Chunk] = []
    with pytest.raises(OutputLost):
        chunks.extend(_answered(docker.engine.read_log(container), container, {b"3399999\n": "USR1"}))
    lines = joined(chunks)["stdout"].split()
    assert lines[-1] == b"3399999"
    assert lines == sorted(set(lines))


def test_the_log_keeps_all_below_the_limit_in_the_worst_case(docker: Bench) -> None:
    """A newline alone is what costs the log most; both streams full of them are still there to be read again.

    The program waits until they are written, for an engine that is behind at the exit may drop the end.
    """
    limits = Limits(output=int((1 << 17) / pace.slowness()))
    flood = f"yes '' | head -c {limits.output - 4}"
    script = f"{{ {flood}; echo out; }}; {_until('a')}; {{ {flood}; echo err; }} >&2; {_until('b')}"
    container = docker.start(f"trap 'a=1' USR1; trap 'b=1' USR2; {script}", limits=limits)
    with library() as client:
        made = client.containers.get(container)
        for last, signal in ((b"out\n", "USR1"), (b"err\n", "USR2")):
            until(lambda last=last: made.logs(tail=1) == last, 4 * PATIENCE)
            made.kill(signal)
    assert docker.engine.wait(container, PATIENCE).phase is Phase.EXITED
    lines = b"\n" * (limits.output - 4)
    assert docker.logged(container) == {"stdout": lines + b"out\n", "stderr": lines + b"err\n"}


def test_the_log_of_a_flood_of_short_lines_takes_no_more_disk_than_it_may(docker: Bench) -> None:
    """What it has dropped is told, and what it has is the end. A line takes 26 bytes of the disk and more."""
    limits, lines = Limits(output=1 << 20), 700_000
    container = docker.start(f"trap 'a=1' USR1; yes '' | head -c {lines}; echo end; {_until('a')}", limits=limits)
    chunks: list[Chunk] = []
    with pytest.raises(OutputLost):
        chunks.extend(_answered(docker.engine.read_log(container), container, {b"end\n": "USR1"}))
    with library() as client:
        kept = client.containers.get(container).logs()
    assert kept.endswith(b"\nend\n")
    assert 8 << 20 < kept.count(b"\n") * 26 <= max(4 * limits.output, 16 << 20) < lines * 26


def test_the_log_of_a_running_program_misses_and_repeats_nothing(docker: Bench) -> None:
    """It returns earlier output, continues with new output, and ends with the program."""
    container = docker.start(f"for i in $(seq 30); do seq $((i * 1000)) $((i * 1000 + 999)); sleep {pace.seconds(0.1)}; done")
    assert docker.engine.wait(container, 0.5).phase is Phase.RUNNING
    assert docker.logged(container)["stdout"] == b"".join(b"%d\n" % number for number in range(1000, 31000))
    assert docker.engine.inspect(container).phase is Phase.EXITED


def test_a_wait_can_be_given_up(docker: Bench) -> None:
    """Within seconds, while the program runs on: a worker that lost its task leaves it alone."""
    container, began = docker.start("exec sleep 1000"), time.monotonic()
    assert docker.engine.wait(container, 1000, lambda: True).phase is Phase.RUNNING
    assert time.monotonic() - began < pace.seconds(30)


def test_a_log_that_is_cut_by_the_removal_of_its_container_is_an_error(docker: Bench) -> None:
    """The part does not count as the whole."""
    plan = docker.plan("echo hello; exec sleep 1000")
    container = docker.engine.create(plan).id
    docker.engine.start(container)
    assert docker.engine.wait(container, 0.5).phase is Phase.RUNNING
    chunks = docker.engine.read_log(container)
    assert next(chunks)[1] == b"hello\n"
    docker.remove(plan)
    with pytest.raises(InfrastructureError, match="broke off"):
        next(chunks)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent streams are checked at once, not after seconds."""
    monkeypatch.setattr(docker_attach, "_IDLE", 0.1)
    monkeypatch.setattr(docker_attach, "_LAST", 0.1)


@pytest.mark.usefixtures("restless")
def test_attaching_to_an_exited_container_ends(docker: Bench) -> None:
    """The engine would keep such a stream open for ever."""
    container = docker.run("echo hello").state.id
    assert list(docker.engine.attach(container, None)) == []


@pytest.mark.usefixtures("restless")
def test_the_stream_of_a_container_removed_unstarted_ends(docker: Bench) -> None:
    """The engine would keep such a stream open for ever."""
    plan = docker.plan("echo hello")
    chunks = docker.engine.attach(docker.engine.create(plan).id, None)
    docker.remove(plan)
    with pytest.raises(InfrastructureError, match="removed"):
        list(chunks)


@pytest.mark.usefixtures("restless")
def test_the_stream_of_a_silent_program_stays(docker: Bench) -> None:
    """Silence is not the end."""
    ran = docker.run(f"sleep {pace.seconds(1)}; echo late")
    assert ran.stdout == b"late\n"


def test_the_stream_of_a_running_container_ends_when_it_is_removed(docker: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, without waiting for a look at the container."""
    monkeypatch.setattr(docker_attach, "_IDLE", pace.seconds(docker_attach._IDLE))
    plan = docker.plan("exec sleep 1000")
    container = docker.engine.create(plan).id
    chunks = docker.engine.attach(container, None)
    docker.engine.start(container)
    began = time.monotonic()
    docker.remove(plan)
    with pytest.raises(InfrastructureError, match="removed"):
        list(chunks)
    assert time.monotonic() - began < docker_attach._IDLE


def test_streams_that_nobody_reads_to_the_end_leak_no_connection(docker: Bench) -> None:
    """Dropping or closing the iterator closes its socket, whether or not it was ever read."""
    running = docker.start("while :; do echo x; sleep 0.01; done")
    created = docker.engine.create(docker.plan("true")).id
    before = _sockets()
    for _ in range(2):
        docker.engine.attach(created, None)
        docker.engine.attach(created, None).close()
        next(docker.engine.attach(running, None))
        next(docker.engine.read_log(running))
        next(docker.engine.stats(running))
    assert _sockets() <= before + 1


def _sockets() -> int:
    return sum(_target(link).startswith("socket:") for link in Path("/proc/self/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("size", [0, 5, 70_000, MANY])
def test_stdin_arrives_whole_and_then_ends(docker: Bench, size: int) -> None:
    """From nothing to more than all buffers on the way hold."""
    stdin = (EVERY_BYTE * (size // 256 + 1))[:size]
    ran = docker.run("sha256sum; echo end", stdin=stdin)
    assert ran.stdout.split()[0].decode() == hashlib.sha256(stdin).hexdigest()


def test_a_program_without_stdin_reads_the_end_at_once(docker: Bench) -> None:
    """Closed means closed, not a terminal that waits."""
    assert docker.run("cat; echo end").stdout == b"end\n"


def test_a_program_that_never_reads_its_stdin_does_not_hang(docker: Bench) -> None:
    """Its output comes, it ends, and the thread that sends ends too."""
    ran = docker.run("echo out", stdin=bytes(MANY))
    assert ran.stdout == b"out\n"
    assert _dies(f"stdin {docker.names[-1]}")


def _dies(thread: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while any(other.name == thread for other in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return time.monotonic() < deadline


def test_stdin_outlives_the_process_that_sent_it(docker: Bench) -> None:
    """After the start, the program gets its input even if no process of the worker stays."""
    plan = docker.plan(f"sleep {pace.seconds(0.5)}; wc -c", stdin=bytes(70_000))
    container = docker.engine.create(plan).id
    chunks = docker.engine.attach(container, plan.stdin)
    docker.engine.start(container)
    chunks.close()
    assert docker.engine.wait(container, PATIENCE).exit_code == 0
    assert docker.logged(container)["stdout"] == b"70000\n"


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives this process the same buffer as any other."""
    monkeypatch.setattr(docker_feed, "_SO_SNDBUFFORCE", 0xFFFF)


@pytest.mark.usefixtures("unprivileged")
def test_stdin_that_nobody_has_taken_is_not_said_to_be_written(docker: Bench) -> None:
    """More than all buffers on the way hold; once the program reads, it is."""
    written = threading.Event()
    container = docker.engine.create(plan := docker.plan(f"trap 'a=1' USR1; {_until('a')}; wc -c", stdin=bytes(MANY))).id
    with closing(docker.engine.attach(container, plan.stdin, written.set)) as chunks:
        docker.engine.start(container)
        assert not written.wait(1)
        with library() as client:
            client.containers.get(container).kill("USR1")
        assert joined(chunks)["stdout"] == b"%d\n" % MANY
    assert written.wait(PATIENCE)


@pytest.mark.parametrize("who", ["anybody", "privileged"])
@pytest.mark.parametrize("size", [256_000, MANY])
def test_stdin_that_is_written_arrives_though_its_sender_left_and_the_program_speaks(
    docker: Bench, size: int, who: str, request: pytest.FixtureRequest
) -> None:
    """The engine cannot deliver the program's output, and continues with its input."""
    if who == "anybody":
        request.getfixturevalue("unprivileged")
    stdin = (EVERY_BYTE * (size // 256 + 1))[:size]
    step, written = pace.seconds(0.3), threading.Event()
    plan = docker.plan(f"for i in 1 2 3; do echo $i; sleep {step}; done; sha256sum", stdin=stdin)
    container = docker.engine.create(plan).id
    chunks = docker.engine.attach(container, stdin, written.set)
    docker.engine.start(container)
    assert written.wait(PATIENCE)
    chunks.close()
    assert docker.engine.wait(container, PATIENCE).exit_code == 0
    assert docker.logged(container)["stdout"].split()[:4] == [b"1", b"2", b"3", hashlib.sha256(stdin).hexdigest().encode()]


def test_stdin_that_an_earlier_worker_attached_but_did_not_send_is_sent_by_the_next(docker: Bench) -> None:
    """The engine closes the stdin of a container for good when the first one leaves."""
    plan = docker.plan("cat", stdin=b"hello")
    docker.engine.attach(docker.engine.create(plan).id, b"").close()
    assert docker.run_plan(plan).stdout == b"hello"
