"""Watches one container from the side: pumps its output into the spool, samples its use, and stands behind its deadline."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial

from attrs import frozen

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError, OutputLost
from orchestrator.log import logger
from orchestrator.outcome.series import Recording
from orchestrator.outcome.usage import UsageMeter
from orchestrator.output.spool import Spool
from orchestrator.ports import Chunk, Counters, Engine

_LOOKS = (0.1, 0.1, 0.2, 0.3, 0.3)
_PAUSE = 1.0
_OVERDUE = 1.0
_SETTLE = 0.5


@frozen
class Watched:
    """What a capture needs to know.

    ``end`` ends the program for a cause; ``overdue`` tells whether it is late; ``look`` what was counted for it up to now.
    """

    engine: Engine
    container: str
    spool: Spool
    meter: UsageMeter
    recording: Recording
    end: Callable[[Cause], None]
    overdue: Callable[[float], bool]
    look: Callable[[], Counters | None]


class Capture:
    """The threads beside one container. Reading goes on while the stream does: a stalled reader would block the program."""

    def __init__(self, watched: Watched, chunks: Iterator[Chunk]) -> None:
        self._watched = watched
        self._chunks = chunks
        self._trouble = ""
        self._heard = 0
        self._whole = False
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._found: bool | None = None  # by finish; until then the spool is the pump's
        self._pumping = self._thread(self._pump)
        self._sampling = self._thread(self._sample)

    def begin(self) -> None:
        """Start reading. The spool must be open."""
        self._pumping.start()
        self._sampling.start()

    def stop(self) -> None:
        """Take no more samples and attach no more; what is being read is read to its end."""
        self._over.set()

    def finish(self, silence: float) -> bool:
        """Called once the program has ended: wait for the rest of its output; False when it is not known to be complete.

        Given up after ``silence`` seconds without a word: how long the engine takes to hand over what it has buffered depends
        on the program and on the machine. Afterwards the spool is the caller's: a pump that outlives this leaves it alone, and
        what was found once is the answer for good.
        """
        self.stop()
        heard = -1
        while silence and self._found is None and self._pumping.is_alive() and heard != self._heard:
            heard = self._heard
            self._pumping.join(silence)
        with self._writing:
            if self._found is None:
                self._found = self._whole and not self._pumping.is_alive()
                self._watched.spool.close()
            return self._found

    def _pump(self) -> None:
        """Read to the end; if the connection was cut before, go on from the engine's log."""
        self._read(self._chunks)
        self._whole = not self._trouble
        while not self._whole and not self._over.wait(_SETTLE) and self._reread():
            pass
        self._unless_finished(self._watched.spool.close)

    def _reread(self) -> bool:
        """Take the output once more; False when what was read has to do, for the container is gone."""
        try:
            chunks = self._watched.engine.read_log(self._watched.container)
            self._unless_finished(self._watched.spool.rewind)
        except ContainerMissing:
            return False
        except (InfrastructureError, OSError) as error:
            self._trouble = str(error)
        else:
            self._read(chunks)
            self._whole = not self._trouble
        return True

    def _read(self, chunks: Iterator[Chunk]) -> None:
        self._trouble = ""
        within = True
        try:
            for chunk in chunks:
                self._heard += 1
                if not self._keep(chunk) and within:
                    within = False
                    self._thread(self._watched.end, Cause.OUTPUT_LIMIT).start()
        except OutputLost as error:
            self._unless_finished(partial(self._watched.spool.doubt, error))
        except InfrastructureError as error:
            self._trouble = str(error)
        except OSError as error:
            self._trouble = f"spool: {error}"
            self._drain(chunks)

    def _keep(self, chunk: Chunk) -> bool:
        with self._writing:
            return self._found is not None or self._watched.spool.write(*chunk)

    def _unless_finished(self, work: Callable[[], None]) -> None:
        with self._writing:
            if self._found is None:
                work()

    @staticmethod
    def _drain(chunks: Iterator[Chunk]) -> None:
        try:
            deque(chunks, maxlen=0)
        except (InfrastructureError, OutputLost) as error:
            logger.debug("drained until {}", error)

    def _sample(self) -> None:
        """Only look while the program is short: opening the stream of samples would cost it more than itself."""
        for pause in _LOOKS:
            if self._over.wait(pause):
                return
            self._watched.recording.look(self._look())
        while not self._over.is_set():
            try:
                for sample in self._watched.engine.stats(self._watched.container):
                    self._watched.meter.add(sample)
                    self._watched.recording.add(sample)
                    if self._over.is_set():
                        return
                    self._look()
                    self._enforce()
            except ContainerMissing:
                return
            except InfrastructureError as error:
                logger.debug("sampling goes on after {}", error)
            self._enforce()
            self._over.wait(_PAUSE)

    def _look(self) -> Counters | None:
        counted = self._watched.look()
        self._watched.meter.tally.add(counted)
        return counted

    def _enforce(self) -> None:
        """End a program that is overdue because the task's own thread is held up by a database that is away."""
        if self._watched.overdue(_OVERDUE):
            self._watched.end(Cause.TIMEOUT)

    def _thread(self, work: Callable[..., None], *args: object) -> threading.Thread:
        """A thread whose log lines carry the task's id, as those of the thread that makes it do."""
        target = partial(copy_context().run, work, *args)
        return threading.Thread(target=target, name=f"watch {self._watched.container}", daemon=True)
