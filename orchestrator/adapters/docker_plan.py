"""What a task's container is made of: a pure function from the plan to what the engine's create call takes.

The default seccomp profile and the masked paths stay, because nothing here touches them.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from attrs import evolve

from orchestrator.ports import ContainerPlan
from orchestrator.request import Limits

Config = Mapping[str, object]
FILES, OUT = "/task", "/out"
PROGRAM = "/orchestrator-pause"
_FILES_SUFFIX, _OUT_SUFFIX = "-files", "-out"
STARTABLE = 32 << 20
"""Memory with which every engine starts a container: runc takes up to 16 MiB of it before the program begins (seen: 1.1.15).

A limit reserves nothing, so a container that needs a few pages may have as much.
"""
TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108
_SHM_SIZE = 64 << 20
_OPEN_FILES = 4096
_PAGE = 4096
_FEWEST_INODES = 1024
_LOG_FILES = 5
_LOG_OVERHEAD = 26
_LOG_SLACK = 1 << 16
_LOG_SHARE, _LOG_LEAST = 4, 16 << 20


def files_name(name: str) -> str:
    """The name of both the volume with the files of container ``name`` and the container that fills it."""
    return f"{name}{_FILES_SUFFIX}"


def out_name(name: str) -> str:
    """The name of both the volume that is /out of container ``name`` and the container that holds it."""
    return f"{name}{_OUT_SUFFIX}"


def plan_name(name: str) -> str:
    """The inverse of ``files_name`` and ``out_name``; other names stay as they are."""
    return name.removesuffix(_FILES_SUFFIX).removesuffix(_OUT_SUFFIX)


def container_config(plan: ContainerPlan, image_volumes: Iterable[str] = (), group: str = "", network: str = "") -> Config:
    """The body of the create call. ``image_volumes`` are the paths for which the image wants volumes; they become tmpfs.

    ``group`` is the control group that the container's own is made in, ``network`` the one that a plan with a network gets;
    empty: the engine's choice.
    """
    stdin = plan.stdin is not None
    return {
        "Image": plan.image,
        "Cmd": None if plan.command is None else list(plan.command),
        "Env": [f"{name}={value}" for name, value in plan.env.items()],
        "WorkingDir": plan.working_dir or "",
        "User": _user(plan),
        "Labels": dict(plan.labels),
        "NetworkDisabled": not plan.network,
        "AttachStdin": stdin,
        "OpenStdin": stdin,
        "StdinOnce": stdin,
        "StopSignal": "SIGTERM",  # also where the engine goes down, so that the exit code tells
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {**_host_config(plan, image_volumes), **_choices(group, network, plan.runtime)},
    }


def _choices(group: str, network: str, runtime: str | None) -> Config:
    """What is left to the engine unless something is chosen."""
    chosen = {"CgroupParent": group, "NetworkMode": network, "Runtime": runtime}
    return {name: value for name, value in chosen.items() if value}


def loader_config(plan: ContainerPlan, image_volumes: Iterable[str] = ()) -> Config:
    """A container that is never started: archives can be put into a volume only through a container that mounts it."""
    mounts = [_files_mount(plan, read_only=False)]
    return {
        "Image": plan.image,
        "Cmd": ["-"],
        "Labels": dict(plan.labels),
        "NetworkDisabled": True,
        "HostConfig": {
            "Tmpfs": _instead_of_volumes(image_volumes, mounts, _bounds(_PAGE)),
            "Mounts": mounts,
            "LogConfig": {"Type": "none"},
        },
    }


def holder_config(plan: ContainerPlan, image_volumes: Iterable[str] = ()) -> Config:
    """The pause container of /out: a tmpfs is gone with the last running container that mounts it. It can do nothing else.

    KILL ends it: as the first process of its container it would not heed TERM.
    """
    mounts = [_out_mount(plan)]
    return {
        "Image": plan.image,
        "Entrypoint": [PROGRAM],
        "Cmd": [],
        "Env": [],
        "User": _user(plan),
        "WorkingDir": "/",
        "Labels": dict(plan.labels),
        "NetworkDisabled": True,
        "StopSignal": "SIGKILL",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "Memory": STARTABLE,
            "MemorySwap": STARTABLE,
            "PidsLimit": 1,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Tmpfs": _instead_of_volumes(image_volumes, mounts, _bounds(_PAGE)),
            "Mounts": mounts,
            "LogConfig": {"Type": "none"},
        },
    }


def bare(plan: ContainerPlan) -> ContainerPlan:
    """The plan without what its owner can get wrong, and without what the engine would have to make for it."""
    return evolve(plan, user="65534", env={}, working_dir="/", network=False, stdin=None, files={}, out=False)


def probe_config(made: Mapping[str, Any], memory: int) -> Config:
    """A container as ``made``, with so much memory, to see whether it starts: its program is ours and ends at once.

    A file can only be put where the root is not read-only. The rest of what differs would slow it down or outlive it.
    """
    differs = {
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": 0,
        "ReadonlyRootfs": False,
        "CgroupParent": "",
        "LogConfig": {"Type": "none"},
    }
    closed = dict.fromkeys(["AttachStdin", "OpenStdin", "StdinOnce"], False)
    return {**made, **closed, "Entrypoint": [PROGRAM], "Cmd": [], "HostConfig": {**made["HostConfig"], **differs}}


def _host_config(plan: ContainerPlan, image_volumes: Iterable[str]) -> Config:
    limits = plan.limits
    mounts = [_files_mount(plan, read_only=True)] * bool(plan.files) + [_out_mount(plan)] * plan.out
    return {
        "NanoCpus": round(limits.cpus * 1e9),
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "PidsLimit": limits.pids + 1,  # the init process is not the task's
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "IpcMode": "private",
        "Init": True,
        "Ulimits": [_ulimit("nofile", _OPEN_FILES), _ulimit("core", 0), _ulimit("fsize", _largest_file(limits))],
        "Tmpfs": _tmpfs(plan, image_volumes, mounts),
        "Mounts": mounts,
        "LogConfig": _log_config(limits),
    }


def _tmpfs(plan: ContainerPlan, image_volumes: Iterable[str], mounts: Sequence[Config]) -> dict[str, str]:
    """Programs in /tmp may be run, as compilers and installers want; it gives no rights that an interpreter would not.

    A volume that the image asks for is memory that counts as the task's. All belong to the task's user, because runc gives a
    tmpfs the mode of the image's folder, whatever mode is asked for.
    """
    limits = plan.limits
    scratch = f"rw,exec,nosuid,nodev,mode=1777,uid={_uid(plan)},{_bounds(limits.tmp)}"
    shared = f"rw,noexec,nosuid,nodev,mode=1777,{_bounds(min(_SHM_SIZE, limits.memory))}"
    return _instead_of_volumes(image_volumes, mounts, scratch) | {TMP: scratch, SHM: shared}


def _instead_of_volumes(image_volumes: Iterable[str], mounts: Sequence[Config], options: str) -> dict[str, str]:
    """A tmpfs wherever the image wants a volume: the engine would make unlimited disk of the host, and copy the image to it.

    The engine looks for a mount at the path as it cleans it, so here it is cleaned, too. A relative path is left as it is and
    refused by the engine: a tmpfs could not stand for it. A path below a mount of ours needs its tmpfs as well.
    """
    ours = {mount["Target"] for mount in mounts}
    paths = (posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else path for path in image_volumes)
    return {path: options for path in paths if path not in ours}


def _user(plan: ContainerPlan) -> str:
    """Always with a gid: without one the image's /etc/passwd and /etc/group choose the groups, and may choose root's."""
    return plan.user if ":" in plan.user else f"{plan.user}:{plan.user}"


def _uid(plan: ContainerPlan) -> str:
    return plan.user.partition(":")[0]


def _bounds(size: int) -> str:
    return f"size={size},nr_inodes={max(_FEWEST_INODES, size // _PAGE)}"


def _log_config(limits: Limits) -> Config:
    """The engine's own log: driver local, because json-file replaces all bytes that are not UTF-8.

    A newline alone costs 26 bytes there, the most that any byte can. All files but the one being written together hold both
    streams at their limit even then, so rotation drops nothing below it, where that fits into ``_log_bound``. Else rotation
    drops the beginning of a flood of short lines.
    """
    whole = 2 * limits.output * _LOG_OVERHEAD // (_LOG_FILES - 1) + _LOG_SLACK
    size = min(whole, _log_bound(limits) // _LOG_FILES - _LOG_SLACK)
    return {
        "Type": "local",
        "Config": {"max-size": str(size), "max-file": str(_LOG_FILES), "compress": "false", "mode": "blocking"},
    }


def _log_bound(limits: Limits) -> int:
    """Bytes of the host's disk that the engine's log may take. Each file may pass its size by the last message."""
    return max(_LOG_SHARE * limits.output, _LOG_LEAST)


def log_keeps(reading: Mapping[str, Any]) -> float:
    """How many bytes the engine's log of an inspected container holds at least, once it has dropped its beginning."""
    config = reading.get("HostConfig", {}).get("LogConfig", {}).get("Config") or {}
    return int(config["max-size"]) * (int(config["max-file"]) - 1) if str(config.get("max-size")).isdecimal() else inf


def _largest_file(limits: Limits) -> int:
    """Beyond what any folder holds, so that a full folder is told as such, and only a file with holes can be refused by it."""
    return 2 * max(limits.tmp, limits.artifacts, _SHM_SIZE)


def _ulimit(name: str, value: int) -> Config:
    return {"Name": name, "Soft": value, "Hard": value}


def _files_mount(plan: ContainerPlan, *, read_only: bool) -> Config:
    return {
        "Type": "volume",
        "Source": files_name(plan.name),
        "Target": FILES,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True, "Labels": dict(plan.labels)},
    }


def _out_mount(plan: ContainerPlan) -> Config:
    """A volume of memory, bounded like /tmp; its pages count as those of the task, which writes them."""
    options = f"nosuid,nodev,mode=1777,uid={_uid(plan)},{_bounds(plan.limits.artifacts)}"
    return {
        "Type": "volume",
        "Source": out_name(plan.name),
        "Target": OUT,
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": dict(plan.labels),
            "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": options}},
        },
    }
