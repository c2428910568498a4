"""UPLOAD: put the log and the artifacts into object storage.

When storage is away, ``execution.runner`` repeats it and then ends the task.
It reads the engine again only where the spool is not as it was sealed: then the container is the one whole copy.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from pathlib import Path

from attrs import evolve, frozen

from orchestrator import private_files as private
from orchestrator.errors import BytesChanged, InfrastructureError
from orchestrator.execution.attempt_output import ARTIFACTS, SERIES, AttemptOutput
from orchestrator.execution.claim import KEY_DIGITS, Claim
from orchestrator.execution.deployment import Deployment
from orchestrator.log import logger
from orchestrator.output.artifacts import File
from orchestrator.output.ring_file import write_all
from orchestrator.output.spool import SPOOL, Sealed, noted, sealed, spooling
from orchestrator.ports import ObjectStore, Stream
from orchestrator.task.artifact import Artifact
from orchestrator.task.values import Fields, LogObject, Logs, SeriesObject

_AT_ONCE = 4
"""Objects of a task that are put side by side."""


@frozen
class Upload:
    """The keys of the objects follow from the task, the attempt and the content: a repeat puts the same ones.

    The key of a log that was sent ahead has the holder in place of the content.
    """

    objects: ObjectStore
    deployment: Deployment
    output: AttemptOutput

    def __call__(self, claim: Claim) -> Fields:
        """Put the log objects and the artifacts. An empty stream needs none. Raises InfrastructureError."""
        attempt = claim.attempt
        sums = attempt.sealed or self._sums(claim)
        gathered = attempt.gathered = attempt.gathered or self.output.gather(claim)
        kept = {file: _artifact(claim, file) for file in gathered.files}
        logs = {stream: _log("", sums[stream]) for stream in Stream}

        def put_log(stream: Stream) -> None:
            logs[stream] = _log(self._put_log(claim, stream, sums[stream]), sums[stream])

        side_by_side(
            [
                *(partial(put_log, stream) for stream in Stream if sums[stream].bytes),
                *(partial(self._put_artifact, claim, file, artifact) for file, artifact in kept.items()),
            ]
        )
        return {
            **self._series(claim),
            "logs": Logs(self.objects.bucket, logs[Stream.STDOUT], logs[Stream.STDERR]),
            "artifacts_stored": tuple(kept.values()),
            "artifacts_refused": gathered.refused,
            **_told(claim),
        }

    def _sums(self, claim: Claim) -> Mapping[Stream, Sealed]:
        """As they were noted: storing the files proves them. After that has failed once, they are read to be proven first."""
        folder = claim.folder(self.deployment.spool_dir)
        return (sealed(folder) if claim.attempt.unsound else noted(folder)) or self.output.seal_again(claim)

    def _put_log(self, claim: Claim, stream: Stream, sums: Sealed) -> str:
        """Store the stream, or what is left of it; its key."""
        if key := self._finished(claim, stream, sums):
            return key
        key = claim.key(stream, sums.sha256)
        try:
            self._put_whole(claim, key, claim.folder(self.deployment.spool_dir) / stream, sums.sha256)
        except InfrastructureError as error:
            claim.attempt.unsound = claim.attempt.unsound or error.service == SPOOL
            raise
        return key

    def _finished(self, claim: Claim, stream: Stream, sums: Sealed) -> str:
        """The key of the object of what was sent ahead; empty if there is none."""
        claim.assure_held()
        ahead = claim.attempt.ahead
        if ahead is None:
            return ""
        key = ahead.finish(stream, sums)
        claim.attempt.put.update(ahead.strays, [key] if key else [])
        return key

    def _put_artifact(self, claim: Claim, file: File, artifact: Artifact) -> None:
        try:
            self._put_whole(claim, artifact.key, file.at, file.sha256)
        except BytesChanged:
            claim.attempt.gathered = None
            raise

    def _series(self, claim: Claim) -> Fields:
        """Store what was noted of its use over time. Figures are no reason for a task to fail, so they may be missing."""
        series, metrics = claim.attempt.recording.series(), claim.task.metrics
        if series is None or metrics is None:
            return {}
        folder, content = claim.folder(self.deployment.spool_dir), series.to_json()
        try:
            with private.opened(folder, SERIES, "wb") as file:
                write_all(file, memoryview(content))
            digest = hashlib.sha256(content).hexdigest()
            key = f"{claim.task.id}/{claim.number}/{SERIES}-{digest[:KEY_DIGITS]}.json"
            self._put_whole(claim, key, folder / SERIES, digest)
        except (OSError, InfrastructureError) as error:
            logger.warning("what it used over time cannot be kept: {}", error)
            return {}
        return {"metrics": evolve(metrics, series=SeriesObject(key, len(content), digest, len(series.points)))}

    def _put_whole(self, claim: Claim, key: str, path: Path, sha256: str) -> None:
        claim.assure_held()
        claim.attempt.put.add(key)
        with spooling():
            self.objects.put(key, path, sha256)


def side_by_side(calls: Sequence[Callable[[], None]]) -> None:
    """Make the calls, a few at once, the first one in this thread. Raises what one that failed did; others may not be made."""
    first, *others = calls or [lambda: None]
    if not others:
        first()
        return
    with ThreadPoolExecutor(min(len(others), _AT_ONCE - 1), "upload ") as pool:
        futures = [pool.submit(copy_context().run, call) for call in others]
        try:
            first()
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()


def _log(key: str, sums: Sealed) -> LogObject:
    return LogObject(key, sums.bytes, sums.sha256, sums.truncated, sums.dropped)


def _artifact(claim: Claim, file: File) -> Artifact:
    """A file as it will be stored. The program chose the path, so the key has only a digest of it: one path has one key."""
    name = hashlib.sha256(file.path.encode()).hexdigest()[:KEY_DIGITS]
    key = f"{claim.task.id}/{claim.number}/{ARTIFACTS}/{name}-{file.sha256[:KEY_DIGITS]}"
    return Artifact(file.path, key, file.bytes, file.sha256)


def _told(claim: Claim) -> Fields:
    """What is to be said of a log that is not whole, beside what became of the program."""
    cut = claim.attempt.cut
    if not cut:
        return {}
    outcome = claim.task.outcome
    message = f"{outcome.message}, but its log could not be kept whole: {cut}"
    return {"cause": claim.cause, "message": message, "evidence": {**outcome.evidence, "log_cut": cut}}
