"""WAIT: wait for the exit or the deadline, and judge what became of the program.

The time limit is enforced here. Two others enforce it when this thread cannot: ``output.capture`` one second later, and
``reconcile.reconciler.end_overdue``, which needs neither the worker nor the database, one minute later.
"""

import time

from attrs import asdict, evolve, frozen

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError, Interrupted
from orchestrator.execution.attempt import Attempt
from orchestrator.execution.claim import Claim
from orchestrator.execution.ownership import expect_whole_input, look_again
from orchestrator.execution.program import Programs
from orchestrator.outcome.usage import cpu_time_is_up, cpu_time_lasts
from orchestrator.outcome.verdict import KILLED, Facts, lost, verdict
from orchestrator.output.spool import SPOOL
from orchestrator.ports import ContainerState, Engine, Figure, Phase
from orchestrator.task.labels import LIFETIME
from orchestrator.task.limits import Limits
from orchestrator.task.values import Fields, Outcome

_SETTLE = 5.0
"""Seconds without a word after which the rest of the output is given up, and for an exit after KILL."""


@frozen
class Wait:
    """At the deadline the program gets TERM, and after the grace KILL."""

    programs: Programs

    def __call__(self, claim: Claim) -> Fields:
        """The outcome says what became of the program."""
        attempt = claim.attempt
        try:
            outcome = self._await_end(claim)
            # a kill may be the first sign of its container's removal
            if outcome.cause is Cause.SIGNAL and outcome.exit_code in KILLED:
                look_again(self._engine, claim)
        except ContainerMissing:
            _settle(attempt)
            attempt.look_away()
            outcome = lost(claim.name, claim.ended_for)
        except InfrastructureError as error:
            attempt.doubtful = attempt.doubtful or error.service != SPOOL
            raise
        return asdict(outcome, recurse=False)

    @property
    def _engine(self) -> Engine:
        return self.programs.engine

    def _await_end(self, claim: Claim) -> Outcome:
        request, attempt = claim.granted(self.programs.rules), claim.attempt
        claim.check_engine(self._engine.identity())
        if attempt.probe is None:
            attempt.probe = self._engine.probe(self.programs.container(claim))
        if attempt.capture is None:
            expect_whole_input(self._engine, claim, request)
            self.programs.watch_from_log(claim)
        self.programs.note_late(claim, request)
        if claim.cancelled:
            self.programs.end(claim, Cause.CANCELLED)
        state = self._await_exit(claim, request.limits)
        claim.assure_held()
        if state.phase is not Phase.EXITED:
            raise InfrastructureError("docker", f"container {claim.name} does not end")
        return self._judge(claim, state, request.limits)

    def _await_exit(self, claim: Claim, limits: Limits) -> ContainerState:
        """Wait for the exit; when wall time or CPU time is up, end the program. The state then.

        CPU time is looked at when it could be up at the earliest, and then each 0.1 s, or each second where only samples tell.
        """
        attempt = claim.attempt
        while True:
            left = self._remaining(attempt, limits)
            cpu_left = cpu_time_lasts(limits, attempt.tally, attempt.meter.tally)
            state = self._engine.wait(attempt.container, min(left, cpu_left), claim.lost.is_set)
            claim.check_lost()
            attempt.tally.add(state.counted, state.uncounted)
            out_of_cpu = cpu_time_is_up(limits, attempt.tally, attempt.meter.tally)
            if out_of_cpu and attempt.claim_end(Cause.TIMEOUT):
                attempt.out_of_cpu = True
            if state.phase is Phase.EXITED:
                return state
            if out_of_cpu or left <= cpu_left:
                self.programs.end(claim, Cause.TIMEOUT)
                return self._engine.wait(attempt.container, _SETTLE)

    def _remaining(self, attempt: Attempt, limits: Limits) -> float:
        """Seconds to the deadline: by this process's monotonic clock, or after an adoption by the engine's clock."""
        if attempt.deadline is not None:
            return max(attempt.deadline - time.monotonic(), 0)
        return max(limits.timeout - self._engine.inspect(attempt.container).ran_for, 0)

    def _judge(self, claim: Claim, state: ContainerState, limits: Limits) -> Outcome:
        """The verdict on a program that has exited. Raises Interrupted when the engine took it down."""
        attempt = claim.attempt
        if (ending := claim.ending_of(state.id)) and attempt.claim_end(ending.cause):
            attempt.out_of_cpu = ending.out_of_cpu
        away = attempt.deadline is not None and attempt.doubtful
        taken_down = claim.ended_for is None and self._engine.took_down(state, away=away)
        longest = limits.timeout if attempt.deadline is None else self.programs.lifetime(claim)
        if _ran_on(attempt, state, longest) and not taken_down:
            attempt.claim_end(Cause.TIMEOUT)
        _settle(attempt)
        attempt.final = state
        if state.exit_code and Figure.OOM_KILLS not in attempt.tally.figures:
            attempt.tally.add(attempt.look())
        facts = _facts(claim, state, limits)
        # the engine is asked who sent a signal only when that is not known
        outcome = verdict(evolve(facts, noted=self._engine.noted(attempt.container)) if facts.unexplained else facts)
        if taken_down and not (outcome.cause and outcome.cause.rule.is_proof):
            raise Interrupted(f"the engine went down and the program with it: {outcome.message}")
        return outcome


def _ran_on(attempt: Attempt, state: ContainerState, longest: float) -> bool:
    """Whether a program that has exited was out of time, so that another worker may have ended it.

    The engine's clock goes on while the host sleeps, and may jump. So it does not count against a program that ended by itself
    before the deadline that this process knows.
    """
    in_time = attempt.deadline is not None and time.monotonic() < attempt.deadline and state.exit_code not in KILLED
    return state.ran_for >= longest and not in_time


def _settle(attempt: Attempt) -> None:
    """Read the rest of the output before judging: a program that passed a limit and then exited has passed it all the same."""
    if attempt.capture and attempt.spool:
        attempt.complete = attempt.capture.finish(_SETTLE) and not attempt.doubtful
        if attempt.live:
            attempt.live.end()
        if attempt.spool.exceeded:
            attempt.claim_end(Cause.OUTPUT_LIMIT)


def _facts(claim: Claim, state: ContainerState, limits: Limits) -> Facts:
    """What this process knows of its program, which has exited. Waits for a thread that is about to end it."""
    attempt = claim.attempt
    unsure = attempt.deadline is None or attempt.doubtful
    with attempt.ending:
        ended = claim.ending_of(state.id) is not None or _is_overdue(state)
        signalled = attempt.signalled or (unsure and ended)
    return Facts(
        state,
        limits,
        claim.ended_for,
        out_of_cpu=attempt.out_of_cpu and claim.ended_for is Cause.TIMEOUT,
        tally=attempt.tally.with_(attempt.meter.tally),
        signalled=signalled,
        full=attempt.probe.close() if attempt.probe else (),
        unsure=unsure,
        unsure_of_input=attempt.unsure_of_input,
    )


def _is_overdue(state: ContainerState) -> bool:
    """Whether the program was killed after the time at which any worker ends it, with or without the database."""
    allowed = state.labels.get(LIFETIME, "")
    return allowed.isdecimal() and state.ran_for > int(allowed) and state.exit_code in KILLED
