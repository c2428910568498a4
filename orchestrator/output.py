"""The units of work on the program's output: collect and upload. Both may be repeated, also by another process."""

from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Chunk, ContainerState, Engine, LogStore, Stream
from orchestrator.request import Rules
from orchestrator.run import Run
from orchestrator.spool import Sealed, salvage, sealed, spooling
from orchestrator.task import Fields, LogObject, Logs

_KEY_DIGITS = 16


@frozen
class Output:
    """What becomes of what the program wrote."""

    engine: Engine
    logs: LogStore
    rules: Rules
    spool_dir: Callable[[], Path]

    def collect(self, run: Run) -> Fields:
        """Complete the log files and sum up the metrics."""
        self._seal(run)
        final = run.final or self._final(run)
        run.tally.add(final.counted if final else None)
        return {"metrics": run.meter.summary(final.ran_for if final else 0.0, run.tally.with_(run.meter.tally))}

    def upload(self, run: Run) -> Fields:
        """Put both log objects and check that they arrived whole. Raises InfrastructureError when they did not."""
        sums = sealed(run.folder(self.spool_dir())) or self._seal(run)
        stdout, stderr = (self._put(run, stream, sums[stream]) for stream in Stream)
        return {"logs": Logs(self.logs.bucket, stdout, stderr)}

    def _final(self, run: Run) -> ContainerState | None:
        """The container's state, where this process did not see it end."""
        try:
            return self.engine.inspect(run.container)
        except ContainerMissing:
            return None

    def _seal(self, run: Run) -> dict[Stream, Sealed]:
        """Seal the spool; where the output may have a hole, first fill it from the engine's own log."""
        run.check_engine(self.engine.identity())
        spool = run.spool = run.spool or run.new_spool(self.spool_dir(), self.rules)
        with spooling():
            try:
                if not run.complete and not spool.overflowed:
                    spool.catch_up(self.engine.read_log(run.container))
                    run.complete = True
            except ContainerMissing:
                spool.catch_up(self._left_behind(run))
            return spool.seal(complete=run.complete)

    def _left_behind(self, run: Run) -> Iterator[Chunk]:
        """What the longest spool of this attempt holds: the container is gone, and whoever read it may have died."""
        siblings = run.folder(self.spool_dir()).parent.iterdir()
        yield from salvage(max(siblings, key=lambda each: sum(file.stat().st_size for file in each.iterdir())))

    def _put(self, run: Run, stream: Stream, sums: Sealed) -> LogObject:
        key = f"{run.task.id}/{run.attempt}/{stream}-{sums.sha256[:_KEY_DIGITS]}.log"
        self.logs.put(key, run.folder(self.spool_dir()) / stream, sums.sha256)
        if self.logs.stat(key) != (sums.bytes, sums.sha256):
            raise InfrastructureError("minio", f"object {key} is not what was put")
        return LogObject(key, sums.bytes, sums.sha256, sums.truncated, sums.dropped)
