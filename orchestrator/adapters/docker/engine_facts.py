"""What an engine is and can do: the one place that reads its description of itself.

Elsewhere nothing asks for a version or for the name of an engine, but for one of these facts.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "process", "SwapLimit": "swap"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Podman names machines as Go does; Docker names them as the kernel does."""
_KEEPS_NEWLINES = (1, 42)
"""Docker 23."""


@frozen
class EngineFacts:
    """From the answer to `info`, and the version of the API. A field that an engine leaves out is empty."""

    id: str
    """Empty if it takes a new one for each answer, as Podman does."""
    version: str
    api: str
    host: str
    """The name of its host."""
    kernel: str
    runc: str
    """The build of its runtime runc."""
    architecture: str
    """As the kernel names it."""
    cpus: float
    memory: int
    """Bytes."""
    storage: str
    cgroup_driver: str
    cgroup_version: str
    unlimited: Sequence[str]
    """The limits that it cannot keep."""
    runtimes: Collection[str]
    default_runtime: str
    has_seccomp: bool
    is_rootless: bool
    keeps_programs: bool
    """Programs run on while the engine is stopped (`live-restore`)."""
    time: str
    """Its clock, when it answered."""

    @property
    def kind(self) -> Sequence[str]:
        """What changes when another engine answers in its place, or the same with another runtime or kernel."""
        engine = (self.id, self.version, self.kernel, self.runc)
        return (*engine, self.cgroup_driver, self.cgroup_version, self.default_runtime)

    def __str__(self) -> str:
        """One line for people."""
        modes = [word for word, there in {"rootless": self.is_rootless, "live-restore": self.keeps_programs}.items() if there]
        cgroups = f"cgroup v{self.cgroup_version} by {self.cgroup_driver or 'nothing'}"
        parts = [self.version, f"API {self.api}", cgroups, self.storage, self.default_runtime, self.architecture, *modes]
        return ", ".join(filter(None, parts))


def facts_of(info: Mapping[str, Any], api: str) -> EngineFacts:
    """The facts in an answer to `info` of the engine, whose API has this version."""
    options = list(info.get("SecurityOptions") or ())
    unified = str(info.get("CgroupVersion", "1")) == "2"  # it limits swap whatever the engine says of it
    machine = str(info.get("Architecture", ""))
    return EngineFacts(
        id="" if "BuildahVersion" in info else str(info.get("ID", "")),
        version=str(info.get("ServerVersion", "")),
        api=api,
        host=str(info.get("Name", "")),
        kernel=str(info.get("KernelVersion", "")),
        runc=str((info.get("RuncCommit") or {}).get("ID")),
        architecture=_MACHINES.get(machine, machine),
        cpus=info.get("NCPU", 0),
        memory=info.get("MemTotal", 0),
        storage=str(info.get("Driver", "")),
        cgroup_driver=str(info.get("CgroupDriver", "")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        unlimited=[name for key, name in _LIMITS.items() if not info.get(key) and not (unified and name == "swap")],
        runtimes=frozenset(info.get("Runtimes") or ()),
        default_runtime=str(info.get("DefaultRuntime", "")),
        has_seccomp=any(option.startswith("name=seccomp") for option in options),
        is_rootless="name=rootless" in options or bool(info.get("Rootless")),
        keeps_programs=bool(info.get("LiveRestoreEnabled")),
        time=str(info.get("SystemTime", "")),
    )


def log_keeps_newlines(api: str) -> bool:
    """Whether an engine whose API has this version keeps the newline after a line of 16 KiB or more in its log."""
    return numbers(api) >= _KEEPS_NEWLINES


def numbers(version: str) -> tuple[int, ...]:
    """A version such as 1.41, to be compared."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
