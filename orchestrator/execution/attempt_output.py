"""What the program of an attempt has left: its log, sealed in the spool, and its artifacts."""

from contextlib import closing, suppress

from attrs import frozen

from orchestrator.errors import ContainerMissing
from orchestrator.execution.claim import Claim
from orchestrator.execution.program import Programs
from orchestrator.output.artifacts import Bounds, Gathered, gather, nothing
from orchestrator.output.spool import Sealed, Spool, aside, bring_back, left_in, set_aside, spooling, take_over
from orchestrator.ports import Stream
from orchestrator.ports.documents import LARGEST, ROOM
from orchestrator.task.stored_size import size_of

ARTIFACTS, SERIES = "artifacts", "series"
"""What is stored beside the logs, as the keys have it."""
_GATHERING = 60.0
_FOR_THE_REST = ROOM // 2
"""Bytes of the document that names of artifacts leave for what else the worker writes, such as what was refused."""


@frozen
class AttemptOutput:
    """The one who seals and gathers, for the steps that need it: each call may be repeated, also by another process."""

    programs: Programs

    def seal(self, claim: Claim) -> dict[Stream, Sealed]:
        """Seal the spool; where the output may have a hole, first fill it from the engine's own log.

        A spool of this attempt that another holder has sealed is taken over: it is exact, and faster to read than that log.
        """
        attempt = claim.attempt
        if attempt.spool is None and (taken := self._taken_over(claim)):
            return taken
        claim.check_engine(self.programs.engine.identity())
        spool = attempt.spool = attempt.spool or claim.new_spool(self.programs.deployment.spool_dir, self.programs.rules)
        with spooling():
            try:
                if not attempt.complete:
                    spool.catch_up(self.programs.engine.read_log(self.programs.container(claim)))
                    attempt.complete = True
            except ContainerMissing:
                if taken := self._salvaged(claim, spool):
                    return taken
            return spool.seal(complete=attempt.complete)

    def seal_again(self, claim: Claim) -> dict[Stream, Sealed]:
        """What was sealed is not there, or not as it was: take it from the engine's log.

        Where this process wrote it, the file may turn out to be all there is; it counts as truncated then.
        """
        attempt = claim.attempt
        if attempt.spool is not None:
            attempt.spool.close()
            attempt.spool, attempt.complete = None, False
            with spooling():
                set_aside(claim.folder(self.programs.deployment.spool_dir))
        return self.seal(claim)

    def seal_what_is_there(self, claim: Claim) -> dict[Stream, Sealed]:
        """What this process has read, or another one did that had the attempt before."""
        attempt = claim.attempt
        spool = attempt.spool = attempt.spool or claim.new_spool(self.programs.deployment.spool_dir, self.programs.rules)
        with suppress(OSError):
            if not attempt.complete and (taken := self._salvaged(claim, spool)):
                return taken
        with spooling():
            return spool.seal(complete=attempt.complete, tight=True)

    def gather(self, claim: Claim, *, tight: bool = False) -> Gathered:
        """Take again what the task asked for out of its /out; that /out is gone is told, and is no failure of the task."""
        request = claim.granted(self.programs.rules)
        if not request.artifacts:
            return Gathered((), ())
        names = LARGEST - _FOR_THE_REST - size_of(claim.lease.document)
        bounds = Bounds(request.limits.artifacts, self.programs.rules.artifact_files, _GATHERING, names)
        try:
            self.programs.container(claim)
            with spooling(), closing(self.programs.engine.archive(claim.name)) as chunks:
                folder = claim.folder(self.programs.deployment.spool_dir) / ARTIFACTS
                return gather(chunks, request.artifacts, bounds, folder, tight=tight)
        except ContainerMissing as error:
            return nothing(request.artifacts, f"it is lost: {error}")

    def _taken_over(self, claim: Claim) -> dict[Stream, Sealed] | None:
        """What another holder of this attempt has sealed on this host; None when there is nothing that is whole."""
        folder = claim.folder(self.programs.deployment.spool_dir)
        with spooling(), suppress(FileNotFoundError):
            taken = (take_over(each, folder) for each in folder.parent.iterdir() if each != folder)
            return next(filter(None, taken), None)
        return None

    def _salvaged(self, claim: Claim, spool: Spool) -> dict[Stream, Sealed] | None:
        """Take what the longest spool of this attempt holds: the container is gone, and the process that read it may have died.

        The sums if it was sealed, which then hold here; else None, and the spool has the bytes.
        """
        folder = claim.folder(self.programs.deployment.spool_dir)
        spool.open()
        longest = max([*folder.parent.iterdir(), aside(folder)], key=left_in)
        if longest == folder:
            return None
        if longest == aside(folder):
            spool.close()
            claim.attempt.spool = None
            return bring_back(folder)
        with suppress(OSError):  # of a disk without room, which may have some for a part
            if taken := take_over(longest, folder, whole=False):
                spool.close()
                claim.attempt.spool = None
                return taken
        spool.salvage(longest)
        return None
