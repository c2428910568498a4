"""START: make and start the container.

It also stores which container is about to start: without that note, after a crash nobody could tell whether the program ran.
"""

import threading
import time
from functools import partial
from math import ceil

from attrs import field, frozen

from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.execution.claim import Claim
from orchestrator.execution.naming import container_name
from orchestrator.execution.ownership import clear_namesake, expect_there, expect_whole_input, labels
from orchestrator.execution.program import Programs
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.ports import ContainerPlan, Created, PullPolicy
from orchestrator.task.labels import ENGINE, LIFETIME, WORKER
from orchestrator.task.request import Request
from orchestrator.task.values import ContainerRef, Fields


@frozen
class Start:
    """May be repeated: the name of the container follows from the task and the attempt."""

    programs: Programs
    worker: str
    """The name of this worker."""
    user: str
    runtime: str
    """The user and the runtime of tasks that name none."""
    pull_policy: PullPolicy
    pull_timeout: float
    """Seconds that a task may pull its image, however often it is tried."""
    measured: Measurements = field(factory=Measurements)

    def __call__(self, claim: Claim) -> Fields:
        """Make and start the container, its output attached first; adopts what an earlier try started."""
        engine, attempt = self.programs.engine, claim.attempt
        request = claim.granted(self.programs.rules)
        claim.check_wanted()
        claim.check_engine(engine.identity())
        self._clear_the_way(claim)
        expect_there(engine, self.programs.deployment.id, claim)
        self._pull(claim, request.image)
        claim.assure_held()
        engine_start = engine.start_id()
        created = self._create(claim, request)
        if created.warm:
            self.measured.count(metrics.WARM, created.warm)
        claim.assure_held()
        tried_before = attempt.capture is not None and attempt.container == created.id
        attempt.container = created.id
        if not created.adopted:
            self._set_going(claim, request)
        elif not tried_before:  # else this process still writes its input
            expect_whole_input(engine, claim, request)
        container = ContainerRef(created.id, claim.name, engine.identity(), engine_start)
        noted = {"starting": None, "input": claim.input, "ending": claim.ending_of(created.id)}
        return {"worker": self.worker, "attempt": claim.number, "container": container, **noted}

    def _clear_the_way(self, claim: Claim) -> None:
        """No earlier attempt may run beside this one, whatever its release left behind."""
        for number in range(1, claim.number):
            self.programs.engine.remove(container_name(claim.task.id, number), self.programs.deployment.id)

    def _pull(self, claim: Claim, image: str) -> None:
        """Pull within a time of its own, all tries of this worker together: a task that pulls holds a slot."""
        began = time.monotonic()

        def go_on() -> None:
            claim.check_wanted()
            self._check_time(image, claim.pulled + time.monotonic() - began)

        try:
            self.programs.engine.pull(image, self.pull_policy, go_on)
        except InfrastructureError as error:
            claim.pulled += time.monotonic() - began
            self._check_time(image, claim.pulled, f"; the last try: {error}")
            raise

    def _check_time(self, image: str, seconds: float, more: str = "") -> None:
        if seconds >= self.pull_timeout:
            raise ImageUnavailable(f"image {image!r} cannot be pulled: it was not there after {self.pull_timeout:g} s{more}")

    def _create(self, claim: Claim, request: Request) -> Created:
        """If another container has the name and nobody owns it any more, it is removed before the next try."""
        try:
            return self._create_of_image(claim, request)
        except InfrastructureError:
            claim.check_wanted()
            clear_namesake(self.programs.engine, self.programs.deployment.id, claim)
            raise

    def _create_of_image(self, claim: Claim, request: Request) -> Created:
        """An image that was removed since it was looked for, as by a sweep, is pulled once more."""
        plan = self._plan(claim, request)
        try:
            return self.programs.engine.create(plan)
        except ImageUnavailable as error:
            logger.info("looks for the image once more: {}", error)
            self._pull(claim, request.image)
            return self.programs.engine.create(plan)

    def _set_going(self, claim: Claim, request: Request) -> None:
        """Attach, store which container it is, start. A holder that has lost its lease starts nothing: the store says so."""
        engine, attempt = self.programs.engine, claim.attempt
        try:
            attempt.fed = threading.Event()
            written = partial(self.programs.note_fed, claim, request, attempt.container, attempt.fed)
            self.programs.watch(claim, engine.attach(attempt.container, request.stdin, written))
            self.programs.leases.begin(claim.task.id, claim.token, attempt.container)
            claim.note_starting(attempt.container)
            claim.check_wanted()
            attempt.probe = engine.start(attempt.container)
            attempt.recording.begin(claim.number)
        except ContainerMissing as error:
            raise InfrastructureError("docker", f"it was removed as it was to be started: {error}") from error
        attempt.deadline = time.monotonic() + request.limits.timeout

    def _plan(self, claim: Claim, request: Request) -> ContainerPlan:
        lifetime = str(ceil(self.programs.lifetime(claim)))
        about = {WORKER: self.worker, ENGINE: self.programs.engine.identity(), LIFETIME: lifetime}
        return ContainerPlan(
            name=claim.name,
            image=request.image,
            command=request.command,
            entrypoint=request.entrypoint,
            init=request.init,
            env=request.env,
            working_dir=request.working_dir,
            user=request.user or self.user,
            network=request.network,
            stdin=request.stdin,
            files=request.files,
            limits=request.limits,
            labels=labels(self.programs.deployment.id, claim) | about,
            runtime=request.runtime or self.runtime or None,
            out=bool(request.artifacts),
        )
