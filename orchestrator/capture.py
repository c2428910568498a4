"""Watches one container from the side: pumps its output into the spool and samples its use of CPU and memory."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial

from loguru import logger

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Chunk, Engine
from orchestrator.spool import Spool
from orchestrator.usage import Meter

_FIRST_SAMPLE = 1.0
_SETTLE = 0.5


class Capture:
    """The threads beside one container. Reading goes on while the stream does: a stalled reader would block the program."""

    def __init__(
        self, engine: Engine, name: str, spool: Spool, meter: Meter, chunks: Iterator[Chunk], end: Callable[[Cause], None]
    ) -> None:
        self._meter = meter
        self._trouble = ""
        self._engine = engine
        self._name = name
        self._spool = spool
        self._chunks = chunks
        self._end = end
        self._over = threading.Event()
        self._pumping = self._thread(self._pump)
        self._sampling = self._thread(self._sample)

    def begin(self) -> None:
        """Start reading. The spool must be open."""
        self._pumping.start()
        self._sampling.start()

    def stop(self) -> None:
        """Take no more samples and attach no more; what is being read is read to its end."""
        self._over.set()

    def finish(self, timeout: float) -> bool:
        """Called once the program has ended: wait for the rest of its output; False when it is not known to be complete."""
        self.stop()
        self._pumping.join(timeout)
        return not self._pumping.is_alive() and not self._trouble

    def _pump(self) -> None:
        """Read to the end; if that comes while the program runs, the connection was cut: begin anew from the engine's log."""
        self._read(self._chunks)
        while not self._over.wait(_SETTLE) and self._reread():
            pass
        self._spool.close()

    def _reread(self) -> bool:
        """Take all output again; False when the container is gone and what was read has to do."""
        try:
            chunks = self._engine.attach(self._name, replay=True)
        except ContainerMissing:
            return False
        except InfrastructureError as error:
            self._trouble = str(error)
        else:
            self._spool.open()
            self._read(chunks)
        return True

    def _read(self, chunks: Iterator[Chunk]) -> None:
        self._trouble = ""
        within = True
        try:
            for stream, data in chunks:
                if not self._spool.write(stream, data) and within:
                    within = False
                    self._thread(self._end, Cause.OUTPUT_LIMIT).start()
        except InfrastructureError as error:
            self._trouble = str(error)
        except OSError as error:
            self._trouble = f"spool: {error}"
            deque(chunks, maxlen=0)

    def _sample(self) -> None:
        """Ask for samples only once the program has run for a while: the stream would cost a short program more than itself."""
        while not self._over.wait(_FIRST_SAMPLE):
            try:
                for sample in self._engine.stats(self._name):
                    self._meter.add(sample)
                    if self._over.is_set():
                        return
            except ContainerMissing:
                return
            except InfrastructureError as error:
                logger.debug("sampling of {} goes on after {}", self._name, error)

    def _thread(self, work: Callable[..., None], *args: object) -> threading.Thread:
        """A thread whose log lines carry the task's id, as those of the thread that makes it do."""
        target = partial(copy_context().run, work, *args)
        return threading.Thread(target=target, name=f"watch {self._name}", daemon=True)
