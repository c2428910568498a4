"""What no new try can mend ends at once: each answer is a real engine's, or that of its source."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from orchestrator.adapters.docker.client import expect_new_enough
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.engine_faults import (
    APPARMOR,
    CGROUPS,
    FAULTS,
    FOLDERS,
    INIT,
    LOG,
    RUNTIME,
    RUNTIME_PROGRAM,
    SECCOMP,
    STORAGE,
    EngineFault,
    fault_in,
    may_pass,
)
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, EngineTooOld, EngineUnfit, InfrastructureError, SettingsError, TaskFailure
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import Stage, StubEngine, container, refuses, says

CREATE, START, INSPECT = "POST /containers/create", "POST /containers/c1/start", "GET /containers/c1/json"
RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
ENDED = "unable to retrieve OCI runtime error (open /run/docker/containerd/x/log.json: no such file or directory): "
ANSWERS: Sequence[tuple[EngineFault, int, str]] = (
    (RUNTIME, 400, "Unknown runtime specified runsc"),
    (RUNTIME, 400, "unknown or invalid runtime name: runsc"),
    (RUNTIME, 500, "container create: requested OCI runtime runsc is not available: invalid argument"),
    (RUNTIME, 400, 'failed to start shim: runtime "io.containerd.runsc.v1" binary not installed "x": file does not exist'),
    (RUNTIME_PROGRAM, 400, f"OCI runtime create failed: {ENDED}fork/exec /nosuch/runc: no such file or directory: unknown"),
    (RUNTIME_PROGRAM, 400, f'OCI runtime create failed: {ENDED}exec: "runsc": executable file not found in $PATH: unknown'),
    (RUNTIME_PROGRAM, 400, f"OCI runtime create failed: {ENDED}fork/exec /usr/bin/runc: permission denied: unknown"),
    (RUNTIME_PROGRAM, 400, f"OCI runtime create failed: {ENDED}fork/exec /usr/bin/runc: exec format error: unknown"),
    (RUNTIME_PROGRAM, 500, 'default OCI runtime "crun" not found: invalid argument'),
    (INIT, 500, 'exec: "docker-init": executable file not found in $PATH'),
    (
        INIT,
        400,
        (
            f'{RUNC}error during container init: error mounting "/nosuch/init" to rootfs at "/sbin/docker-init": '
            "stat /nosuch/init: no such file or directory: unknown"
        ),
    ),
    (INIT, 500, 'container create: lookup init binary: exec: "catatonit": executable file not found in $PATH'),
    (INIT, 500, "container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file or directory"),
    (CGROUPS, 500, f"{RUNC}systemd not running on this host, cannot use systemd cgroups manager: unknown"),
    (
        CGROUPS,
        500,
        "OCI runtime create failed: cgroups in hybrid mode not supported, drop all controllers from cgroupv2: unknown",
    ),
    (CGROUPS, 500, "cgroups: cgroup mountpoint does not exist: unknown"),
    (CGROUPS, 500, f"{RUNC}mountpoint for pids not found: unknown"),
    (
        CGROUPS,
        400,
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    ),
    (SECCOMP, 500, f"{RUNC}seccomp: config provided but seccomp not supported: unknown"),
    (SECCOMP, 500, "seccomp is not enabled in your kernel, cannot run a custom seccomp profile"),
    (
        SECCOMP,
        500,
        "opening seccomp profile (/etc/docker/own.json) failed: open /etc/docker/own.json: no such file or directory",
    ),
    (
        APPARMOR,
        500,
        (
            "AppArmor enabled on system but the docker-default profile could not be loaded: running `apparmor_parser -Kr x` "
            'failed with output: error: exec: "apparmor_parser": executable file not found in $PATH'
        ),
    ),
    (
        APPARMOR,
        500,
        (
            f"{RUNC}error during container init: unable to apply apparmor profile: apparmor failed to apply profile: write "
            "/proc/self/attr/apparmor/exec: no such file or directory: unknown"
        ),
    ),
    (APPARMOR, 500, f"{RUNC}apparmor: config provided but apparmor not supported: unknown"),
    (APPARMOR, 500, 'AppArmor profile "own" specified but not loaded'),
    (STORAGE, 500, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"),
    (STORAGE, 500, "error creating overlay mount to /var/lib/docker/overlay2/x/merged: invalid argument"),
    (
        STORAGE,
        500,
        (
            "error while mounting volume '/x/_data': failed to mount local volume: mount tmpfs:/x/_data, flags: 0x6, data: "
            "size=1: operation not permitted"
        ),
    ),
    (FOLDERS, 500, 'container create: unknown mount option "nr_inodes=16384": invalid mount option'),
    (FOLDERS, 500, "volume options size and inodes not supported. Filesystem does not support Project Quota"),
    (LOG, 500, "container create: running container create option: invalid log driver: invalid argument"),
)
OTHERS: Mapping[str, tuple[int, str]] = {
    "a program that is not there": (400, f'{RUNC}exec: "docker-init": executable file not found in $PATH: unknown'),
    "a program with such a name": (
        400,
        f'{RUNC}exec: "seccomp: config provided but seccomp not supported": executable file not found in $PATH: unknown',
    ),
    "a folder with such a name": (
        500,
        f"{RUNC}error during container init: mkdir /apparmor failed to apply profile: read-only file system: unknown",
    ),
    "a file that the image has instead of a folder": (
        400,
        f'{RUNC}error mounting "/var/lib/docker/volumes/a/_data" to rootfs at "/task": not a directory: unknown',
    ),
}


@pytest.mark.parametrize(("fault", "status", "text"), ANSWERS, ids=[text[-60:] for _, _, text in ANSWERS])
def test_what_no_new_try_mends_ends_at_the_first_call(stage: Stage, fault: EngineFault, status: int, text: str) -> None:
    """At the create call and at the start alike: a sentence with the setting, and the engine is asked once."""
    stub, engine = stage({CREATE: refuses(status, text), START: refuses(status, text), INSPECT: container("created")})
    for call in (lambda: engine.create(Bench(engine).plan("true")), lambda: engine.start("c1")):
        with pytest.raises(EngineUnfit) as caught:
            call()
        assert caught.value.cause is Cause.INFRASTRUCTURE
        assert caught.value.message == f"{fault.fault}: {fault.remedy}; the engine says: {text}"
    assert (stub.calls.count(CREATE), stub.calls.count(START)) == (1, 1)


@pytest.mark.parametrize(("status", "text"), OTHERS.values(), ids=OTHERS.keys())
def test_what_only_the_owner_of_the_task_can_mend_stays_invalid(stage: Stage, status: int, text: str) -> None:
    """Also when words of the task read like a fault of the engine."""
    _, engine = stage({CREATE: refuses(status, text)})
    with pytest.raises(TaskFailure) as caught:
        engine.create(Bench(engine).plan("true"))
    assert caught.value.cause is Cause.INVALID


@pytest.mark.parametrize(
    "text",
    [
        "the requested cgroup controller `pids` is not available",
        f"OCI runtime create failed: {ENDED}fork/exec /usr/bin/runc: resource temporarily unavailable: unknown",
        f"OCI runtime create failed: {ENDED}fork/exec /usr/bin/runc: cannot allocate memory: unknown",
        f"OCI runtime create failed: {ENDED}/usr/bin/runc did not terminate successfully: signal: killed: unknown",
        f"OCI runtime create failed: {ENDED}/usr/bin/runc did not terminate successfully: exit status 1: unknown",
        "opening seccomp profile (/etc/docker/own.json) failed: open /etc/docker/own.json: too many open files",
        "AppArmor enabled on system but the docker-default profile could not be loaded: fork: resource temporarily unavailable",
        "error creating overlay mount to /var/lib/docker/overlay2/x/merged: device or resource busy",
        "no space left on device",
        "context deadline exceeded",
    ],
)
def test_what_may_pass_is_tried_again(stage: Stage, text: str) -> None:
    """The runtime crun says the first of its first container in a new group, and starts the next one.

    A host that is short of memory, processes or files says the others, and no task may fail for it at once.
    """
    assert fault_in(text) is None
    _, engine = stage({CREATE: refuses(400 if may_pass(text) else 500, text)})
    with pytest.raises(InfrastructureError):
        engine.create(Bench(engine).plan("true"))


def test_each_fault_and_each_pattern_has_an_answer_here() -> None:
    """So that none is written down that no engine gives."""
    for fault in FAULTS:
        given = [text for known, _, text in ANSWERS if known is fault]
        assert fault_in(fault.example), fault.example
        for words in fault.words:
            assert any(words.search(text) for text in given), words.pattern


@pytest.mark.parametrize(
    "warning",
    [
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    ],
)
def test_a_container_that_was_made_without_its_limit_is_not_used(stage: Stage, warning: str) -> None:
    """The engine answers as if it had succeeded, and names the limit in a warning."""
    stub, engine = stage({CREATE: says(201, {"Id": "c1", "Warnings": ["IPv4 forwarding is disabled.", warning]})})
    plan = Bench(engine).plan("true")
    with pytest.raises(EngineUnfit, match=r"native\.cgroupdriver.*discarded"):
        engine.create(plan)
    assert f"GET /containers/{plan.name}/json" in stub.calls


def test_a_host_that_cannot_limit_swap_is_used(stage: Stage) -> None:
    """The doctor tells of it."""
    warning = "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
    _, engine = stage({CREATE: says(201, {"Id": "c1", "Warnings": [warning]})})
    assert engine.create(Bench(engine).plan("true")).id == "c1"


def test_an_engine_whose_api_is_too_old_is_named_with_both_versions(tmp_path: Path) -> None:
    """No task is failed for it, since another worker may have a newer engine; a worker does not begin to work with it."""
    with StubEngine(tmp_path, {}, "1.40") as stub:
        engine = DockerEngine(stub.url)
        with pytest.raises(EngineTooOld, match=r"API is 1\.40, and 1\.41 or later is needed"):
            engine.identity()
        with pytest.raises(SettingsError, match=r"DOCKER_HOST: .*1\.40.*1\.41"):
            expect_new_enough(stub.url)
        environment = {**os.environ, "DOCKER_HOST": stub.url, "SPOOL_DIR": str(tmp_path / "spool")}
        argv = [sys.executable, "-m", "orchestrator", "worker"]
        started = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert started.returncode == 2
    assert "DOCKER_HOST: docker: the engine's API is 1.40" in started.stderr


@pytest.mark.parametrize("version", ["1.41", "1.51", "2.0"])
def test_a_newer_api_is_used(tmp_path: Path, version: str) -> None:
    """Compared as numbers."""
    with StubEngine(tmp_path, {}, version) as stub:
        expect_new_enough(stub.url)
        with pytest.raises((ContainerMissing, InfrastructureError), match="nothing at"):
            DockerEngine(stub.url).inspect("c1")


def test_an_engine_that_is_away_does_not_keep_a_worker_from_its_start(tmp_path: Path) -> None:
    """It may come up later."""
    expect_new_enough(f"unix://{tmp_path}/nobody.sock")
