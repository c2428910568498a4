"""The units of work on the container: start, wait, retry, and the release at the end. All may be repeated."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from math import ceil
from pathlib import Path

from attrs import asdict, evolve, frozen

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, Elsewhere, ImageUnavailable, InfrastructureError, Interrupted, Superseded
from orchestrator.execution.ownership import (
    SURE_STDIN,
    adopt,
    clear_namesake,
    expect_there,
    expect_whole_input,
    labels,
    look_again,
    own,
)
from orchestrator.execution.run import KILLED, Run, container_name, spool_folder
from orchestrator.log import logger
from orchestrator.outcome import cpu_time
from orchestrator.outcome.verdict import lost, verdict
from orchestrator.output.capture import Capture, Watched
from orchestrator.output.spool import SPOOL, discard, spooling
from orchestrator.ports import Chunk, ContainerPlan, ContainerState, Created, Engine, Phase, PullPolicy
from orchestrator.task.labels import ENGINE, LIFETIME, WORKER
from orchestrator.task.request import Limits, Request, Rules, is_id
from orchestrator.task.values import ContainerRef, Ending, Fields, Outcome
from statemachine import INITIAL, State

_SETTLE = 5.0
_LOOK = 0.1
_BEGUN = frozenset({INITIAL, State.RUNNING})
_OVERDUE = 60.0
"""Seconds that a program's own worker may be late in ending it."""
_PROVEN = frozenset({Cause.OOM, Cause.OUTPUT_LIMIT, Cause.CANCELLED})
"""Causes that explain an end, whatever became of the engine since."""


@frozen
class Effects:
    """What becomes of the container. ``spool_dir`` and ``deployment`` are asked for when they are needed first.

    ``begin`` stores which container is about to be started; Superseded unless the lease with this token still holds the task.
    ``note_input`` stores that the engine has all of this container's input, ``note_ending`` that its program is about to get a
    signal.
    """

    engine: Engine
    rules: Rules
    spool_dir: Callable[[], Path]
    pull_policy: PullPolicy
    default_user: str
    stop_grace: float
    worker: str
    deployment: Callable[[], str]
    begin: Callable[[str, str, str], None]
    note_input: Callable[[str, str, str], None]
    note_ending: Callable[[str, str, Ending], None]
    runtime: str = ""
    pull_timeout: float = 300.0

    def begun(self, run: Run) -> bool:
        """Whether the program of a queued task was started, by a worker that died before it could say so."""
        try:
            return own(self.engine, self.deployment(), run).phase is not Phase.CREATED
        except ContainerMissing:
            return False

    def start(self, run: Run) -> Fields:
        """Make and start the container, its output attached first; adopts what an earlier try started."""
        request = run.granted(self.rules)
        run.check_wanted()
        run.check_engine(self.engine.identity())
        self._clear_the_way(run)
        expect_there(self.engine, self.deployment(), run)
        self._pull(run, request.image)
        run.assure_held()
        engine_start = self.engine.start_id()
        created = self._create(run, request)
        run.assure_held()
        tried_before = run.capture is not None and run.container == created.id
        run.container = created.id
        if not created.adopted:
            self._set_going(run, request)
        elif not tried_before:  # else this process still writes its input
            expect_whole_input(self.engine, run, request)
        container = ContainerRef(created.id, run.name, self.engine.identity(), engine_start)
        noted = {"starting": None, "input": run.input, "ending": run.ending_of(created.id)}
        return {"worker": self.worker, "attempt": run.attempt, "container": container, **noted}

    def _create(self, run: Run, request: Request) -> Created:
        """What stands in the way is removed before this is tried again, if it is nobody's any more."""
        try:
            return self._create_of_image(run, request)
        except InfrastructureError:
            run.check_wanted()
            clear_namesake(self.engine, self.deployment(), run)
            raise

    def _create_of_image(self, run: Run, request: Request) -> Created:
        """An image that was removed since it was looked for, as by a sweep, is pulled once more."""
        plan = self._plan(run, request)
        try:
            return self.engine.create(plan)
        except ImageUnavailable as error:
            logger.info("looks for the image once more: {}", error)
            self._pull(run, request.image)
            return self.engine.create(plan)

    def _pull(self, run: Run, image: str) -> None:
        """Pull within a time of its own, all tries of this worker together: a task that pulls holds a slot."""
        begun = time.monotonic()

        def go_on() -> None:
            run.check_wanted()
            self._check_time(image, run.pulled + time.monotonic() - begun)

        try:
            self.engine.pull(image, self.pull_policy, go_on)
        except InfrastructureError as error:
            run.pulled += time.monotonic() - begun
            self._check_time(image, run.pulled, f"; the last try: {error}")
            raise

    def _check_time(self, image: str, seconds: float, more: str = "") -> None:
        if seconds >= self.pull_timeout:
            raise ImageUnavailable(f"image {image!r} cannot be pulled: it was not there after {self.pull_timeout:g} s{more}")

    def _clear_the_way(self, run: Run) -> None:
        """No earlier attempt may run beside this one, whatever its release left behind."""
        for attempt in range(1, run.attempt):
            self.engine.remove(container_name(run.task.id, attempt), self.deployment())

    def _set_going(self, run: Run, request: Request) -> None:
        """A stale holder starts nothing: ``begin`` tells it, or whoever took the task over since replaces the container."""
        try:
            run.fed = threading.Event()
            written = partial(self._note_fed, run, request, run.container, run.fed)
            self._watch(run, self.engine.attach(run.container, request.stdin, written))
            self.begin(run.task.id, run.token, run.container)
            run.task = evolve(run.task, starting=run.container)
            run.check_wanted()
            run.probe = self.engine.start(run.container)
        except ContainerMissing as error:
            raise InfrastructureError("docker", f"it was removed as it was to be started: {error}") from error
        run.deadline = time.monotonic() + request.limits.timeout

    def _note_fed(self, run: Run, request: Request, container: str, fed: threading.Event) -> None:
        """All of the input is with the engine. That is stored where an adopter could not know it."""
        if len(request.stdin or b"") > SURE_STDIN:
            fed.set()
            self.note_input(run.task.id, run.token, container)

    def _note_late(self, run: Run, request: Request) -> None:
        """Store once more what the record of the start has missed."""
        if run.noted_ending and run.task.ending != run.noted_ending:
            self._store_ending(run, run.noted_ending)
        if run.fed.is_set() and run.task.input != run.input:
            self._note_fed(run, request, run.container, run.fed)

    def cut_off(self, run: Run, seconds: float) -> str | None:
        """Wait for the input that this process writes to the program; the container that runs and has not got all by then."""
        stdin = run.request.stdin if run.request else None
        leaves = time.monotonic() + seconds
        if run.deadline is None or len(stdin or b"") <= SURE_STDIN:
            return None
        while run.state in _BEGUN and not run.fed.wait(_LOOK):
            if time.monotonic() >= leaves:
                return run.container if run.state is State.RUNNING and self._runs(run) else None
        return None

    def _runs(self, run: Run) -> bool:
        """Whether the program still runs, as far as the engine tells."""
        try:
            return self.engine.inspect(run.container).phase is Phase.RUNNING
        except (ContainerMissing, InfrastructureError):
            return False

    def abandon(self, run: Run) -> None:
        """End the program of a task that this process holds no more. Never raises."""
        with suppress(InfrastructureError):
            self.engine.stop(run.container, 0)

    def wait(self, run: Run) -> Fields:
        """Wait for exit or for the deadline; at the deadline TERM, grace, KILL. The outcome says what became of the program."""
        try:
            outcome = self._await_end(run)
            # a kill may be the first sign of its container's removal
            if outcome.cause is Cause.SIGNAL and outcome.exit_code in KILLED:
                look_again(self.engine, run)
        except ContainerMissing:
            self._settle(run)
            run.look_away()
            outcome = lost(run.name, run.ended_for)
        except InfrastructureError as error:
            run.doubtful = run.doubtful or error.service != SPOOL
            raise
        return asdict(outcome, recurse=False)

    def retry(self, run: Run) -> Fields:
        """Bind the next attempt to this engine.

        The broken one's container is removed once this is recorded, for only then is it sure that nobody else has the task.
        """
        run.look_away()
        return {"cause": Cause.INFRASTRUCTURE, "message": run.broken, "engine": self.engine.identity()}

    def release(self, run: Run) -> bool:
        """Remove what the ended attempt has on the engine and in the spool; False when something is left behind.

        A log that could not be stored stays in the spool for its rescue, until the sweep discards it. Never raises: what is
        left is found again by its label.
        """
        if not is_id(run.task.id):
            return True
        name = container_name(run.task.id, run.task.history[-1].attempt)
        folder = spool_folder(self.spool_dir(), name, run.nonce)
        if run.capture:
            run.capture.finish(0)
        if run.spool:
            run.spool.close()  # a file that is still open keeps its room on the disk
        try:
            self.engine.remove(name, self.deployment(), run.nonce)
        except InfrastructureError as error:
            logger.warning("container {} is left behind: {}", name, error)
            return False
        if run.task.is_stranded:
            logger.warning("its log is left in {}", folder)
        else:
            discard(folder)
        return True

    def end(self, run: Run, cause: Cause) -> None:
        """End the program for ``cause``: TERM, grace, KILL, or at once when it floods. Safe to repeat.

        Time limits hold while the store is away, so only who knows that somebody else has the task leaves its program alone.
        """
        with suppress(InfrastructureError):
            run.check_held()
        run.claim_end(cause)
        with suppress(ContainerMissing):
            container = self.container(run)
            self._note_ending(run, container, run.ended_for or cause)
            if self.engine.stop(container, 0 if cause is Cause.OUTPUT_LIMIT else self.stop_grace):
                run.signalled = True

    def _note_ending(self, run: Run, container: str, cause: Cause) -> None:
        """Store that the program is about to get a signal: the next holder may not learn it from the engine any more.

        A store that is away is not waited for, because time limits hold all the same.
        """
        if run.noted_ending is None and self.engine.inspect(container).phase is Phase.RUNNING:
            run.noted_ending = Ending(container, cause, run.out_of_cpu and cause is Cause.TIMEOUT)
            self._store_ending(run, run.noted_ending)

    def _store_ending(self, run: Run, ending: Ending) -> None:
        with suppress(InfrastructureError):
            self.note_ending(run.task.id, run.token, ending)

    def container(self, run: Run) -> str:
        """The id of the run's own container. Raises ContainerMissing, and InfrastructureError."""
        return adopt(self.engine, self.deployment(), run, self._lifetime(run))

    def _lifetime(self, run: Run) -> float:
        """Seconds from its start after which any worker on its engine ends the program, with or without the database."""
        return run.granted(self.rules).limits.timeout + self.stop_grace + _OVERDUE

    def _plan(self, run: Run, request: Request) -> ContainerPlan:
        lifetime = str(ceil(self._lifetime(run)))
        about = {WORKER: self.worker, ENGINE: self.engine.identity(), LIFETIME: lifetime}
        return ContainerPlan(
            name=run.name,
            image=request.image,
            command=request.command,
            entrypoint=request.entrypoint,
            init=request.init,
            env=request.env,
            working_dir=request.working_dir,
            user=request.user or self.default_user,
            network=request.network,
            stdin=request.stdin,
            files=request.files,
            limits=request.limits,
            labels=labels(self.deployment(), run) | about,
            runtime=request.runtime or self.runtime or None,
            out=bool(request.artifacts),
        )

    def _watch_from_log(self, run: Run) -> None:
        """Where the disk of the spool has no room, the program goes on all the same: its output is read once it has ended."""
        try:
            self._watch(run, self.engine.read_log(self.container(run)))
        except InfrastructureError as error:
            if error.service != SPOOL:
                raise
            logger.warning("its output is read once it has ended: {}", error)

    def _watch(self, run: Run, chunks: Iterator[Chunk]) -> None:
        """Pump the output into a new spool, after stopping an earlier try's pump."""
        if run.capture:
            run.capture.finish(0)
        run.spool = run.new_spool(self.spool_dir(), self.rules)
        with spooling():
            run.spool.open()
        end = partial(self.end_quietly, run)
        run.capture = Capture(Watched(self.engine, run.container, run.spool, run.meter, end, run.overdue, run.look), chunks)
        run.capture.begin()

    def end_quietly(self, run: Run, cause: Cause) -> None:
        """As ``end``, from a thread that has nobody to tell: the deadline still stands behind it.

        Who had to wait while another thread ends the program may find the next attempt, which is none of its business.
        """
        container = run.container
        try:
            with run.ending:
                if run.container == container:
                    self.end(run, cause)
        except (InfrastructureError, Superseded, Elsewhere) as error:
            logger.warning("{} could not be ended for {}: {}", run.name, cause, error)

    def _await_end(self, run: Run) -> Outcome:
        request = run.granted(self.rules)
        run.check_engine(self.engine.identity())
        if run.probe is None:
            run.probe = self.engine.probe(self.container(run))
        if run.capture is None:
            expect_whole_input(self.engine, run, request)
            self._watch_from_log(run)
        self._note_late(run, request)
        if run.cancelled:
            self.end(run, Cause.CANCELLED)
        state = self._await_exit(run, request.limits)
        run.assure_held()
        if state.phase is not Phase.EXITED:
            raise InfrastructureError("docker", f"container {run.name} does not end")
        if (ending := run.ending_of(state.id)) and run.claim_end(ending.cause):
            run.out_of_cpu = ending.out_of_cpu
        taken_down = run.ended_for is None and self.engine.took_down(state, away=run.deadline is not None and run.doubtful)
        longest = request.limits.timeout if run.deadline is None else self._lifetime(run)
        if state.ran_for >= longest and not taken_down:
            run.claim_end(Cause.TIMEOUT)
        self._settle(run)
        run.final = state
        outcome = self._judge(run, state, request.limits)
        if taken_down and outcome.cause not in _PROVEN:
            raise Interrupted(f"the engine went down and the program with it: {outcome.message}")
        return outcome

    def _await_exit(self, run: Run, limits: Limits) -> ContainerState:
        """Wait for the exit; when wall time or CPU time is up, end the program. The state then.

        CPU time is looked at when it could be up at the earliest, and then each 0.1 s, or each second where only samples tell.
        """
        while True:
            left, cpu_left = self._remaining(run, limits), cpu_time.lasts(limits, run.tally, run.meter.tally)
            state = self.engine.wait(run.container, min(left, cpu_left), run.lost.is_set)
            run.check_lost()
            run.tally.add(state.counted, state.uncounted)
            out_of_cpu = cpu_time.used_up(limits, run.tally, run.meter.tally)
            if out_of_cpu and run.claim_end(Cause.TIMEOUT):
                run.out_of_cpu = True
            if state.phase is Phase.EXITED:
                return state
            if out_of_cpu or left <= cpu_left:
                self.end(run, Cause.TIMEOUT)
                return self.engine.wait(run.container, _SETTLE)

    def _judge(self, run: Run, state: ContainerState, limits: Limits) -> Outcome:
        """The verdict; the engine is asked who sent a signal only when that is not known."""
        facts = run.facts(state, limits)
        return verdict(evolve(facts, noted=self.engine.noted(run.container)) if facts.unexplained else facts)

    @staticmethod
    def _settle(run: Run) -> None:
        """Read the rest of the output before judging: who passed a limit and then exited has passed it all the same."""
        if run.capture and run.spool:
            run.complete = run.capture.finish(_SETTLE) and not run.doubtful
            if run.spool.exceeded:
                run.claim_end(Cause.OUTPUT_LIMIT)

    def _remaining(self, run: Run, limits: Limits) -> float:
        """Seconds to the deadline: by this process's monotonic clock, or after an adoption by the engine's clock."""
        if run.deadline is not None:
            return max(run.deadline - time.monotonic(), 0)
        return max(limits.timeout - self.engine.inspect(run.container).ran_for, 0)
