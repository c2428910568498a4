"""The units of work on the program's output: collect and upload. Both may be repeated, also by another process."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from attrs import frozen

from orchestrator.errors import STORAGE, BytesChanged, ContainerMissing, Elsewhere, InfrastructureError, Interrupted
from orchestrator.execution.run import Run
from orchestrator.output.artifacts import Bounds, File, Gathered, gather, nothing
from orchestrator.output.spool import Sealed, reseal, salvage, sealed, spooling, take_over
from orchestrator.ports import Chunk, ContainerState, Engine, ObjectStore, Stream
from orchestrator.task.artifact import Artifact
from orchestrator.task.request import Rules
from orchestrator.task.values import Fields, LogObject, Logs

_KEY_DIGITS = 16
_ARTIFACTS = "artifacts"
_GATHERING = 60.0


@frozen
class Output:
    """What becomes of what the program wrote. ``container`` is ``Effects.container``."""

    engine: Engine
    logs: ObjectStore
    rules: Rules
    spool_dir: Callable[[], Path]
    container: Callable[[Run], str]

    def collect(self, run: Run) -> Fields:
        """Complete the log files, take the artifacts, and sum up the metrics."""
        if run.sealed is None:
            self._seal(run)
            run.gathered = self._gather(run)
        final = run.final or self._final(run)
        if final:
            run.tally.add(final.counted, final.uncounted)
        return {"metrics": run.meter.summary(final.ran_for if final else 0.0, run.tally.with_(run.meter.tally))}

    def upload(self, run: Run) -> Fields:
        """Put both log objects and the artifacts; check that they arrived whole. Raises InfrastructureError when not."""
        sums = run.sealed or sealed(run.folder(self.spool_dir())) or self._seal_again(run)
        stdout, stderr = (self._put(run, stream, sums[stream]) for stream in Stream)
        gathered = run.gathered = run.gathered or self._gather(run)
        try:
            kept = tuple(self._put_artifact(run, file) for file in gathered.files)
        except BytesChanged:
            run.gathered = None
            raise
        return {
            "logs": Logs(self.logs.bucket, stdout, stderr),
            "artifacts_stored": kept,
            "artifacts_refused": gathered.refused,
            **_told(run),
        }

    def settle_for_less(self, run: Run) -> None:
        """Take what can be had of the output of a program that has finished, and let the rest go.

        Raises InfrastructureError when not even an empty log can be made.
        """
        try:
            run.sealed = self._seal(run)
        except (Interrupted, InfrastructureError) as error:
            run.sealed = self._seal_what_is_there(run)
            run.cut = "" if all(each.complete for each in run.sealed.values()) else str(error)
        try:
            run.gathered = run.gathered or self._gather(run, tight=True)
        except InfrastructureError as error:
            run.gathered = nothing(run.granted(self.rules).artifacts, f"it could not be read: {error}")

    def _final(self, run: Run) -> ContainerState | None:
        """The container's state, where this process did not see it end; None when nobody can tell."""
        try:
            return self.engine.inspect(self.container(run))
        except ContainerMissing:
            return None
        except (InfrastructureError, Elsewhere):
            if run.sealed is None:
                raise
            return None

    def _seal(self, run: Run) -> dict[Stream, Sealed]:
        """Seal the spool; where the output may have a hole, first fill it from the engine's own log.

        A spool of this attempt that another holder has sealed is taken over: it is exact, and faster to read than that log.
        """
        if run.spool is None and (taken := self._taken_over(run)):
            return taken
        run.check_engine(self.engine.identity())
        spool = run.spool = run.spool or run.new_spool(self.spool_dir(), self.rules)
        with spooling():
            try:
                if not run.complete:
                    spool.catch_up(self.engine.read_log(self.container(run)))
                    run.complete = True
            except ContainerMissing:
                spool.catch_up(self._left_behind(run))
            return spool.seal(complete=run.complete)

    def _taken_over(self, run: Run) -> dict[Stream, Sealed] | None:
        """What another holder of this attempt has sealed on this host; None when there is nothing that is whole."""
        folder = run.folder(self.spool_dir())
        with spooling(), suppress(FileNotFoundError):
            taken = (take_over(each, folder) for each in folder.parent.iterdir() if each != folder)
            return next(filter(None, taken), None)
        return None

    def _seal_what_is_there(self, run: Run) -> dict[Stream, Sealed]:
        """What this process has read, or another one did that had the attempt before."""
        spool = run.spool = run.spool or run.new_spool(self.spool_dir(), self.rules)
        with suppress(OSError):
            if not run.complete:
                spool.catch_up(self._left_behind(run))
        with spooling():
            return spool.seal(complete=run.complete, tight=True)

    def _seal_again(self, run: Run) -> dict[Stream, Sealed]:
        """What was sealed is not there, or not as it was: take it from the engine's log.

        Where this process wrote it and the container has gone since, the file is all there is; it counts as truncated.
        """
        if run.spool is not None:
            run.spool, run.complete = None, False
            try:
                self.engine.inspect(self.container(run))
            except ContainerMissing:
                with spooling():
                    return reseal(run.folder(self.spool_dir()))
        return self._seal(run)

    def _left_behind(self, run: Run) -> Iterator[Chunk]:
        """What the longest spool of this attempt holds: the container is gone, and whoever read it may have died."""
        siblings = run.folder(self.spool_dir()).parent.iterdir()
        yield from salvage(
            max(siblings, key=lambda each: sum(file.stat().st_size for file in each.iterdir() if file.is_file()))
        )

    def _gather(self, run: Run, *, tight: bool = False) -> Gathered:
        """Take what the task asked for out of its /out, anew; that /out is gone is told, and is no failure of the task."""
        request = run.granted(self.rules)
        if not request.artifacts:
            return Gathered((), ())
        bounds = Bounds(request.limits.artifacts, self.rules.artifact_files, _GATHERING)
        try:
            self.container(run)
            with spooling(), closing(self.engine.archive(run.name)) as chunks:
                folder = run.folder(self.spool_dir()) / _ARTIFACTS
                return gather(chunks, request.artifacts, bounds, folder, tight=tight)
        except ContainerMissing as error:
            return nothing(request.artifacts, f"it is lost: {error}")

    def _put(self, run: Run, stream: Stream, sums: Sealed) -> LogObject:
        key = f"{run.task.id}/{run.attempt}/{stream}-{sums.sha256[:_KEY_DIGITS]}.log"
        self._put_whole(run, key, run.folder(self.spool_dir()) / stream, sums.bytes, sums.sha256)
        return LogObject(key, sums.bytes, sums.sha256, sums.truncated, sums.dropped)

    def _put_artifact(self, run: Run, file: File) -> Artifact:
        """The program chose the path, so the key has only a digest of it: the same path has the same one."""
        name = hashlib.sha256(file.path.encode()).hexdigest()[:_KEY_DIGITS]
        key = f"{run.task.id}/{run.attempt}/{_ARTIFACTS}/{name}-{file.sha256[:_KEY_DIGITS]}"
        self._put_whole(run, key, file.at, file.bytes, file.sha256)
        return Artifact(file.path, key, file.bytes, file.sha256)

    def _put_whole(self, run: Run, key: str, path: Path, size: int, sha256: str) -> None:
        run.assure_held()
        with spooling():
            self.logs.put(key, path, sha256)
        if self.logs.stat(key) != (size, sha256):
            raise InfrastructureError(STORAGE, f"object {key} is not what was put")


def _told(run: Run) -> Fields:
    """What is to be said of a log that is not whole, beside what became of the program."""
    if not run.cut:
        return {}
    outcome = run.task.outcome
    message = f"{outcome.message}, but its log could not be kept whole: {run.cut}"
    return {"cause": run.cause, "message": message, "evidence": {**outcome.evidence, "log_cut": run.cut}}
