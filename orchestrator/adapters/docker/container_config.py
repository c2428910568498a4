"""The configuration of a task's container: a pure function from the plan to the body of the engine's create call.

The default seccomp profile and the masked paths stay, because nothing here touches them.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from attrs import evolve

from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.ports import ContainerPlan
from orchestrator.task.limits import Limits

Config = Mapping[str, object]
FILES, OUT = "/task", "/out"
PROGRAM = "/orchestrator-pause"
_FILES_SUFFIX, _OUT_SUFFIX, _KEPT_SUFFIX = "-files", "-out", "-kept"
"""The name of a container or volume beside a container has one of these suffixes. No container's own name ends so: its end is a
dash and the attempt."""
STARTABLE = 32 << 20
"""Memory with which every engine starts a container: runc takes up to 16 MiB of it before the program begins (seen: 1.1.15).

A limit reserves no memory, so a container that needs a few pages may have this limit.
"""
TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108
HOST_NAME = "task"
"""The host name of containers without a network; ``name_files`` has its addresses."""
NAME_FILES = ("hosts", "hostname", "resolv.conf")
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


def kept_name(name: str, number: int | str = "") -> str:
    """The name of a volume with the content of one volume of the image of container ``name``.

    Without a number: their common prefix.
    """
    return f"{name}{_KEPT_SUFFIX}{number}"


def plan_name(name: str) -> str:
    """The inverse of ``files_name``, ``out_name`` and ``kept_name``; other names stay as they are."""
    return re.sub(rf"{_KEPT_SUFFIX}\d+$", "", name.removesuffix(_FILES_SUFFIX).removesuffix(_OUT_SUFFIX))


def container_config(
    plan: ContainerPlan, image: Image = UNKNOWN, group: str = "", network: str = "", names: str = ""
) -> Config:
    """The body of the create call.

    ``group`` is the parent of the container's control group, ``network`` the network of a plan with a network; empty: the
    engine's choice. ``names`` is the folder of the engine's host with NAME_FILES for a container without a network.
    """
    stdin = plan.stdin is not None
    return {
        "Image": plan.image,
        **_entrypoint(plan),
        "Cmd": None if plan.command is None else list(plan.command),
        "Hostname": "" if plan.network else HOST_NAME,
        "Env": [f"{name}={value}" for name, value in {**_home(plan, image), **plan.env}.items()],
        "WorkingDir": plan.working_dir or "",
        "User": _user(plan),
        "Labels": dict(plan.labels),
        "NetworkDisabled": not plan.network,
        "AttachStdin": stdin,
        "OpenStdin": stdin,
        "StdinOnce": stdin,
        "StopSignal": "SIGTERM",  # also when the engine goes down, so that the exit code tells it
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {**_host_config(plan, image, names), **_choices(group, network, plan.runtime)},
    }


def _entrypoint(plan: ContainerPlan) -> Config:
    """With an empty entrypoint, the command is the whole program. Without an entrypoint, the image's entrypoint is used."""
    return {} if plan.entrypoint is None else {"Entrypoint": list(plan.entrypoint)}


def _home(plan: ContainerPlan, image: Image) -> dict[str, str]:
    """The image rarely has a home for the user of a task, and programs want to write to their home."""
    return {} if image.is_home_of(_uid(plan)) else {"HOME": TMP}


def working_folder(plan: ContainerPlan, image: Image) -> str:
    """Where the program starts, without a dot or a double slash."""
    return posixpath.normpath("/" + (plan.working_dir or image.working_dir).lstrip("/"))


def own_folder(plan: ContainerPlan, image: Image) -> str | None:
    """The working folder below /out as a relative path, which has to be made for the task; None when it is elsewhere."""
    folder = working_folder(plan, image)
    return folder.removeprefix(f"{OUT}/") if plan.out and folder.startswith(f"{OUT}/") else None


def _choices(group: str, network: str, runtime: str | None) -> Config:
    """Fields that are left to the engine unless the plan sets them."""
    chosen = {"CgroupParent": group, "NetworkMode": network, "Runtime": runtime}
    return {name: value for name, value in chosen.items() if value}


def loader_config(plan: ContainerPlan, image: Image = UNKNOWN) -> Config:
    """A container that is never started.

    The engine takes an archive for a volume only through a container that mounts the volume.
    """
    return unstarted_config(plan, image, [_files_mount(plan, read_only=False)])


def unstarted_config(plan: ContainerPlan, image: Image, mounts: Sequence[Config] = ()) -> Config:
    """A container through which archives go in and out. An archive does not see a tmpfs, but the image's files below it."""
    return {
        "Image": plan.image,
        "Cmd": ["-"],
        "Labels": dict(plan.labels),
        "NetworkDisabled": True,
        "HostConfig": {
            "Tmpfs": _instead_of_volumes(image, mounts, _bounds(_PAGE)),
            "Mounts": list(mounts),
            "LogConfig": {"Type": "none"},
        },
    }


def holder_config(plan: ContainerPlan, image: Image = UNKNOWN, runtime: str | None = None) -> Config:
    """The pause container of /out. A tmpfs ends with the last running container that mounts it, so this one stays running.

    KILL ends it: the first process of a container ignores TERM. ``runtime`` is the engine's default unless it is named.
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
            "Tmpfs": _instead_of_volumes(image, mounts, _bounds(_PAGE)),
            "Mounts": mounts,
            "LogConfig": {"Type": "none"},
            **_choices("", "", runtime),
        },
    }


def bare(plan: ContainerPlan) -> ContainerPlan:
    """The plan without fields that its owner can get wrong, and without parts that the engine would have to make for it."""
    return evolve(plan, user="65534", env={}, working_dir="/", network=False, stdin=None, files={}, out=False, entrypoint=None)


def probe_config(made: Mapping[str, Any], memory: int) -> Config:
    """A container as ``made``, with this memory, to test whether it starts. Its program is this package's, and ends at once.

    A file can only be put into a root that is not read-only. The other changed fields would slow it down or outlive it.
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


def _host_config(plan: ContainerPlan, image: Image, names: str) -> Config:
    mounts = _own_mounts(plan)
    kept = [_kept_mount(plan, number, path) for number, path in enumerate(kept_sizes(plan, image))]
    return {
        **_bounds_of_the_kernel(plan),
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "IpcMode": "private",
        "Init": plan.init,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],  # the host's handler would store a core file on the host's disk
        "Tmpfs": _tmpfs(plan, image, [*mounts, *kept]),
        "Mounts": mounts + kept + _names(plan, names),
        "LogConfig": _log_config(plan.limits),
    }


def _bounds_of_the_kernel(plan: ContainerPlan) -> Config:
    """Limits that the engine passes to the kernel unchanged.

    The limits of folders and of the log are set at the folders and the log.
    """
    return {key: value for bound in KERNEL_BOUNDS.values() for key, value in bound(plan).items()}


KERNEL_BOUNDS: Mapping[str, Callable[[ContainerPlan], Config]] = {
    "cpus": lambda plan: {"NanoCpus": round(plan.limits.cpus * 1e9)},
    "memory": lambda plan: {"Memory": plan.limits.memory, "MemorySwap": plan.limits.memory},
    "pids": lambda plan: {"PidsLimit": plan.limits.pids + (1 if plan.init else 0)},  # the init process is not the task's
}
"""The field of the create call for each of these limits."""


def _tmpfs(plan: ContainerPlan, image: Image, mounts: Sequence[Config]) -> dict[str, str]:
    """The folders in memory. Programs in /tmp may be run, because compilers and installers need it.

    This gives no rights that an interpreter does not give. A volume of the image is memory that counts as the task's. All
    folders belong to the task's user, because runc gives a tmpfs the mode of the image's folder and ignores the requested mode.
    """
    limits = plan.limits
    scratch = f"rw,exec,nosuid,nodev,mode=1777,uid={_uid(plan)},{_bounds(limits.tmp)}"
    shared = f"rw,noexec,nosuid,nodev,mode=1777,{_bounds(min(limits.shm, limits.memory))}"
    folders = _instead_of_volumes(image, mounts, scratch) | {TMP: scratch, SHM: shared}
    return _working_folder(plan, image, folders, scratch) | folders


def _working_folder(plan: ContainerPlan, image: Image, folders: Mapping[str, str], scratch: str) -> dict[str, str]:
    """A working folder below a tmpfs is a tmpfs, too. runc would make a missing folder there, but as root's."""
    folder = working_folder(plan, image)
    return {folder: scratch} if any(folder.startswith(f"{above}/") for above in folders) else {}


def _instead_of_volumes(image: Image, mounts: Sequence[Config], options: str) -> dict[str, str]:
    """A tmpfs for each volume of the image. Otherwise the engine would use the host's disk without a limit.

    A path below one of these mounts needs its tmpfs as well.
    """
    taken = {mount["Target"] for mount in mounts}
    return {path: options for path in map(mount_point, image.volumes) if path not in taken}


def kept_sizes(plan: ContainerPlan, image: Image) -> Mapping[str, int]:
    """The image's volumes with content, and the bytes in each.

    The engine copies them, and the container mounts them read-only.
    """
    taken = {mount["Target"] for mount in _own_mounts(plan)} | {TMP, SHM}
    sizes = {mount_point(path): size for path, size in image.filled.items()}
    return {path: size for path, size in sorted(sizes.items()) if path not in taken}


def _own_mounts(plan: ContainerPlan) -> list[Config]:
    mounts = []
    if plan.files:
        mounts.append(_files_mount(plan, read_only=True))
    if plan.out:
        mounts.append(_out_mount(plan))
    return mounts


def _kept_mount(plan: ContainerPlan, number: int, path: str) -> Config:
    return {
        "Type": "volume",
        "Source": kept_name(plan.name, number),
        "Target": path,
        "ReadOnly": True,
        "VolumeOptions": {"Labels": dict(plan.labels)},
    }


def mount_point(path: str) -> str:
    """The path of a volume as the engine cleans it when it looks for a mount there.

    A relative path is left unchanged, and the engine refuses it: a tmpfs cannot replace it.
    """
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else path


def _names(plan: ContainerPlan, folder: str) -> list[Config]:
    """Mounts of the name files.

    The engine makes them only with a network, or with ``none``, whose start takes twice as long.
    """
    files = NAME_FILES if folder and not plan.network else ()
    return [{"Type": "bind", "Source": f"{folder}/{name}", "Target": f"/etc/{name}", "ReadOnly": True} for name in files]


def _user(plan: ContainerPlan) -> str:
    """Always with a gid. Without one, the image's /etc/passwd and /etc/group choose the groups, and may choose root's."""
    return plan.user if ":" in plan.user else f"{plan.user}:{plan.user}"


def ids(plan: ContainerPlan) -> tuple[int, int]:
    """The user and the group that the program runs as."""
    uid, _, gid = _user(plan).partition(":")
    return int(uid), int(gid)


def _uid(plan: ContainerPlan) -> int:
    return ids(plan)[0]


def _bounds(size: int) -> str:
    return f"size={size},nr_inodes={max(_FEWEST_INODES, size // _PAGE)}"


def _log_config(limits: Limits) -> Config:
    """The engine's own log: driver local, because json-file replaces all bytes that are not UTF-8.

    A line that is only a newline costs 26 bytes there, the most of any byte. Even then, all files except the current one
    together hold both streams at their limit, if this fits into ``_log_bound``. So rotation drops nothing below the limit.
    Otherwise rotation drops the beginning of a flood of short lines.
    """
    whole = 2 * limits.output * _LOG_OVERHEAD // (_LOG_FILES - 1) + _LOG_SLACK
    size = min(whole, _log_bound(limits) // _LOG_FILES - _LOG_SLACK)
    return {
        "Type": "local",
        "Config": {"max-size": str(size), "max-file": str(_LOG_FILES), "compress": "false", "mode": "blocking"},
    }


def _log_bound(limits: Limits) -> int:
    """Bytes of the host's disk that the engine's log may take. Each file may exceed its size by the last message."""
    return max(_LOG_SHARE * limits.output, _LOG_LEAST)


def log_keeps(reading: Mapping[str, Any]) -> float:
    """The least number of bytes in the engine's log of an inspected container after it has dropped its beginning."""
    config = reading.get("HostConfig", {}).get("LogConfig", {}).get("Config") or {}
    return int(config["max-size"]) * (int(config["max-file"]) - 1) if str(config.get("max-size")).isdecimal() else inf


def _files_mount(plan: ContainerPlan, *, read_only: bool) -> Config:
    return {
        "Type": "volume",
        "Source": files_name(plan.name),
        "Target": FILES,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True, "Labels": dict(plan.labels)},
    }


def _out_mount(plan: ContainerPlan) -> Config:
    """A volume of memory, limited like /tmp. Its pages count into the memory of the task, which writes them."""
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
