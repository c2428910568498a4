"""The program of an attempt, from outside: which container it has, its output while it comes, its input, and its end."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from attrs import frozen

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, Elsewhere, InfrastructureError, Superseded
from orchestrator.execution.attempt import Attempt
from orchestrator.execution.claim import Claim
from orchestrator.execution.deployment import Deployment
from orchestrator.execution.leases import Leases
from orchestrator.execution.ownership import SURE_STDIN, adopt, own
from orchestrator.log import logger
from orchestrator.output.ahead import AheadSender
from orchestrator.output.capture import Capture, Watched
from orchestrator.output.live import LiveSender
from orchestrator.output.spool import SPOOL, Spool, spooling
from orchestrator.ports import Chunk, Engine, Phase, TaskStore
from orchestrator.task.request import Request, Rules
from orchestrator.task.values import Ending
from statemachine import UNDECIDED, State

_LOOK = 0.1
_OVERDUE = 60.0
"""Seconds that a program's own worker may be late in ending it."""


@frozen
class Programs:
    """What the steps on the container share. ``stop_grace`` is the seconds from TERM to KILL."""

    engine: Engine
    rules: Rules
    deployment: Deployment
    leases: Leases
    store: TaskStore
    live: LiveSender
    ahead: AheadSender
    stop_grace: float

    def container(self, claim: Claim) -> str:
        """The id of the attempt's own container. Raises ContainerMissing, and InfrastructureError."""
        return adopt(self.engine, self.deployment.id, claim, self.lifetime(claim))

    def lifetime(self, claim: Claim) -> float:
        """Seconds from its start after which any worker on its engine ends the program, with or without the database."""
        return claim.granted(self.rules).limits.timeout + self.stop_grace + _OVERDUE

    def begun(self, claim: Claim) -> bool:
        """Whether the program of a queued task was started, by a worker that died before it could say so."""
        try:
            return own(self.engine, self.deployment.id, claim).phase is not Phase.CREATED
        except ContainerMissing:
            return False

    def watch(self, claim: Claim, chunks: Iterator[Chunk], *, again: bool = False) -> None:
        """Pump the output into a new spool, after stopping an earlier try's pump. ``again``: some may have been read before."""
        attempt = claim.attempt
        if attempt.capture:
            attempt.capture.finish(0)
        if attempt.live:
            attempt.live.end()
        attempt.spool = claim.new_spool(self.deployment.spool_dir, self.rules)
        with spooling():
            attempt.spool.open()
        end = partial(self.end_quietly, claim, attempt)
        use = attempt.meter, attempt.recording
        watched = Watched(self.engine, attempt.container, attempt.spool, *use, end, attempt.overdue, attempt.look)
        attempt.capture = Capture(watched, chunks)
        attempt.capture.begin()
        self._store_ahead(claim, attempt.spool)
        attempt.live = self.live.follow(claim.task.id, claim.number, attempt.spool, again=again, points=attempt.recording.take)

    def _store_ahead(self, claim: Claim, spool: Spool) -> None:
        """Store what comes into a new spool; what was stored of an earlier one is dropped with the attempt."""
        earlier = claim.attempt.ahead
        if earlier:
            earlier.over = True
        note = partial(self._note_parts, claim)
        claim.attempt.ahead = self.ahead.follow(spool, claim.early_key, claim.lost.is_set, note, claim.parts, earlier)

    def _note_parts(self, claim: Claim, key: str) -> bool:
        """Store that an object is about to be begun. The first move writes all of the worker's fields, so not before it."""
        if claim.task.seq == 0:
            return False
        self.store.note_parts(claim.task.id, claim.token, key)
        return True

    def watch_from_log(self, claim: Claim) -> None:
        """Where the disk of the spool has no room, the program goes on all the same: its output is read once it has ended."""
        container = self.container(claim)
        claim.attempt.recording.begin(claim.number, self.engine.inspect(container).ran_for)
        try:
            self.watch(claim, self.engine.read_log(container), again=True)
        except InfrastructureError as error:
            if error.service != SPOOL:
                raise
            logger.warning("its output is read once it has ended: {}", error)

    def note_fed(self, claim: Claim, request: Request, container: str, fed: threading.Event) -> None:
        """All of the input is with the engine. That is stored where an adopter could not know it.

        The thread that says so may outlive the attempt, so it is handed all that belongs to it.
        """
        if is_long(request):
            fed.set()
            self.leases.note_input(claim.task.id, claim.token, container)

    def note_late(self, claim: Claim, request: Request) -> None:
        """Store once more what the record of the start has missed."""
        attempt = claim.attempt
        if attempt.noted_ending and claim.task.ending != attempt.noted_ending:
            self._store_ending(claim, attempt.noted_ending)
        if attempt.fed.is_set() and claim.task.input != claim.input:
            self.note_fed(claim, request, attempt.container, attempt.fed)

    def cut_off(self, claim: Claim, seconds: float) -> str | None:
        """Wait for the input that this process writes to the program; the container that runs and has not got all by then."""
        attempt, leaves = claim.attempt, time.monotonic() + seconds
        if attempt.deadline is None or attempt.request is None or not is_long(attempt.request):
            return None
        while claim.state in UNDECIDED and not attempt.fed.wait(_LOOK):
            if time.monotonic() >= leaves:
                return attempt.container if claim.state is State.RUNNING and self._runs(attempt) else None
        return None

    def _runs(self, attempt: Attempt) -> bool:
        """Whether the program still runs, as far as the engine tells."""
        try:
            return self.engine.inspect(attempt.container).phase is Phase.RUNNING
        except (ContainerMissing, InfrastructureError):
            return False

    def abandon(self, claim: Claim) -> None:
        """End the program of a task that this process holds no more. Never raises."""
        with suppress(InfrastructureError):
            self.engine.stop(claim.attempt.container, 0)

    def end(self, claim: Claim, cause: Cause) -> None:
        """End the program for ``cause``: TERM, grace, KILL, or at once when it floods. Safe to repeat.

        Time limits hold while the store is away, so only a process that knows that another one has the task leaves its program
        alone.
        """
        with suppress(InfrastructureError):
            claim.check_held()
        attempt = claim.attempt
        attempt.claim_end(cause)
        with suppress(ContainerMissing):
            container = self.container(claim)
            self._note_ending(claim, container, claim.ended_for or cause)
            if self.engine.stop(container, 0 if cause is Cause.OUTPUT_LIMIT else self.stop_grace):
                attempt.signalled = True

    def end_quietly(self, claim: Claim, attempt: Attempt, cause: Cause) -> None:
        """As ``end``, from a thread that has nobody to tell: the deadline still stands behind it.

        After waiting for the lock the task may be on its next attempt; then do nothing.
        """
        container = attempt.container
        try:
            with attempt.ending:
                if claim.attempt is attempt and attempt.container == container:
                    self.end(claim, cause)
        except (InfrastructureError, Superseded, Elsewhere) as error:
            logger.warning("{} could not be ended for {}: {}", claim.name, cause, error)

    def _note_ending(self, claim: Claim, container: str, cause: Cause) -> None:
        """Store that the program is about to get a signal: the next holder may not learn it from the engine any more.

        A store that is away is not waited for, because time limits hold all the same.
        """
        attempt = claim.attempt
        if attempt.noted_ending is None and self.engine.inspect(container).phase is Phase.RUNNING:
            attempt.noted_ending = Ending(container, cause, attempt.out_of_cpu and cause is Cause.TIMEOUT)
            self._store_ending(claim, attempt.noted_ending)

    def _store_ending(self, claim: Claim, ending: Ending) -> None:
        with suppress(InfrastructureError):
            self.store.note_ending(claim.task.id, claim.token, ending)


def is_long(request: Request) -> bool:
    """Whether the input is longer than what the kernel's pipe takes without a reader."""
    return len(request.stdin or b"") > SURE_STDIN
