"""COLLECT: complete the log, take the artifacts out of /out, and sum up what was used."""

from attrs import frozen

from orchestrator.errors import ContainerMissing, Elsewhere, InfrastructureError, Interrupted
from orchestrator.execution.attempt_output import AttemptOutput
from orchestrator.execution.claim import Claim
from orchestrator.execution.program import Programs
from orchestrator.output.artifacts import nothing
from orchestrator.ports import ContainerState
from orchestrator.task.values import Fields


@frozen
class Collect:
    """All that is read from the engine waits in the spool afterwards."""

    programs: Programs
    output: AttemptOutput

    def __call__(self, claim: Claim) -> Fields:
        """The metrics; the output is in the spool."""
        attempt = claim.attempt
        if attempt.sealed is None:
            self.output.seal(claim)
            attempt.gathered = self.output.gather(claim)
        final = attempt.final or self._final(claim)
        if final:
            attempt.tally.add(final.counted, final.uncounted)
        tally = attempt.tally.with_(attempt.meter.tally)
        return {"metrics": attempt.meter.summary(final.ran_for if final else 0.0, tally)}

    def settle_for_less(self, claim: Claim) -> None:
        """Take what can be had of the output of a program that has finished, and let the rest go.

        Raises InfrastructureError when not even an empty log can be made.
        """
        attempt = claim.attempt
        try:
            attempt.sealed = self.output.seal(claim)
        except (Interrupted, InfrastructureError) as error:
            attempt.sealed = self.output.seal_what_is_there(claim)
            attempt.cut = "" if all(each.complete for each in attempt.sealed.values()) else str(error)
        try:
            attempt.gathered = attempt.gathered or self.output.gather(claim, tight=True)
        except InfrastructureError as error:
            attempt.gathered = nothing(claim.granted(self.programs.rules).artifacts, f"it could not be read: {error}")

    def _final(self, claim: Claim) -> ContainerState | None:
        """The container's state, where this process did not see it end; None when nobody can tell."""
        try:
            return self.programs.engine.inspect(self.programs.container(claim))
        except ContainerMissing:
            return None
        except (InfrastructureError, Elsewhere):
            if claim.attempt.sealed is None:
                raise
            return None
