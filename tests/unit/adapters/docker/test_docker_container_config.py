"""What the create call is given, without an engine."""

import io
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker.container_config import (
    SHM,
    TMP,
    container_config,
    files_name,
    holder_config,
    kept_name,
    loader_config,
    out_name,
    plan_name,
)
from orchestrator.adapters.docker.image import Account, Image, accounts
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.execution.naming import container_name
from orchestrator.ports import ContainerPlan
from orchestrator.task.limits import Limits

PLAN = ContainerPlan(
    name="orchestrator-t1-1",
    image="busybox",
    command=("echo", "hi"),
    env={"A": "1", "B": "x=y"},
    working_dir=None,
    user="1000:1001",
    network=False,
    stdin=None,
    files={},
    limits=Limits(cpus=1.5, memory=128 << 20, pids=9, output=1 << 20, tmp=8 << 20),
    labels={"task": "t1"},
)
TIGHT = {
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "IpcMode": "private",
    "Init": True,
}
LOOSE = {"Privileged", "CapAdd", "Devices", "Binds", "PidMode", "UsernsMode", "MaskedPaths", "ReadonlyPaths", "NetworkMode"}


def _host(plan: ContainerPlan, *volumes: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(container_config(plan, Image(volumes=volumes)))
    return config["HostConfig"]


def test_every_container_is_held_tight() -> None:
    """What holds is there, and nothing that would loosen it."""
    host = _host(PLAN)
    assert host.items() >= TIGHT.items()
    assert not LOOSE & host.keys()


def test_limits_become_what_the_engine_understands() -> None:
    """Nanoseconds of CPU, bytes with as much swap as memory (none), and one process more for init."""
    host = _host(PLAN)
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (15 * 10**8, 128 << 20, 128 << 20, 10)


def test_the_program_gets_what_the_plan_says() -> None:
    """Command, environment, user, labels; no health check of the image."""
    config = container_config(PLAN)
    assert (config["Cmd"], config["Env"], config["User"]) == (["echo", "hi"], ["HOME=/tmp", "A=1", "B=x=y"], "1000:1001")
    assert (config["Labels"], config["WorkingDir"], config["Healthcheck"]) == ({"task": "t1"}, "", {"Test": ["NONE"]})
    assert container_config(evolve(PLAN, command=None))["Cmd"] is None
    assert container_config(evolve(PLAN, working_dir="/srv"))["WorkingDir"] == "/srv"


def test_an_entrypoint_replaces_the_images_and_an_empty_one_removes_it() -> None:
    """The engine takes no entrypoint at all for the image's own."""
    assert "Entrypoint" not in container_config(PLAN)
    assert container_config(evolve(PLAN, entrypoint=("sh", "-c")))["Entrypoint"] == ["sh", "-c"]
    assert container_config(evolve(PLAN, entrypoint=()))["Entrypoint"] == []


def test_a_program_without_an_init_has_all_processes_of_its_limit() -> None:
    """The one more is the init's."""
    host = _host(evolve(PLAN, init=False))
    assert (host["Init"], host["PidsLimit"]) == (False, 9)


PASSWD = "root:x:0:0::/root:/bin/sh\nbroken\nnode:x:1000:1000::/home/node:/bin/sh\nnobody:x:65534:65534::/nonexistent:/x\n"


@pytest.mark.parametrize(
    ("user", "image", "home"),
    [
        ("65534", Image(), TMP),
        ("1000", Image(), None),
        ("0", Image(), None),
        ("1001", Image(), TMP),
        ("65534", Image(home="/root"), TMP),
        ("1000", Image(home="/home/node"), None),
        ("1000", Image(home="/srv", user="node"), None),
        ("1000", Image(home="/srv", user="1000:5"), None),
        ("1000", Image(home="/srv", user="root"), TMP),
        ("0", Image(home="/srv"), None),
    ],
)  # fmt: skip
def test_a_user_whose_home_the_image_does_not_have_is_at_home_in_tmp(user: str, image: Image, home: str | None) -> None:
    """By the image's accounts, or by the user for whom the image sets HOME."""
    known = evolve(image, accounts=tuple(accounts(PASSWD)))
    config = container_config(evolve(PLAN, user=user, env={}), known)
    assert config["Env"] == ([] if home is None else [f"HOME={home}"])


def test_a_home_that_the_task_names_stands() -> None:
    """Even when it cannot be written to."""
    assert container_config(evolve(PLAN, env={"HOME": "/"}))["Env"] == ["HOME=/"]


def test_lines_that_are_no_accounts_are_left_out() -> None:
    """The image's author writes the file."""
    assert list(accounts("a:x:1:1::/a:\n:::\n" + "b:x:" + "9" * 9000 + ":1::/b:\nc:x:-1:1::/c:\n")) == [Account("a", 1, "/a")]


def test_there_is_no_network_unless_the_plan_has_one() -> None:
    """Off is the default."""
    assert container_config(PLAN)["NetworkDisabled"] is True
    assert container_config(evolve(PLAN, network=True))["NetworkDisabled"] is False


def test_what_is_chosen_reaches_the_engine_and_nothing_else_does() -> None:
    """Group, network and runtime; without a choice the engine's own stand."""
    chosen = container_config(evolve(PLAN, network=True, runtime="runsc"), Image(), "/group", "net")["HostConfig"]
    assert isinstance(chosen, Mapping)
    assert (chosen["CgroupParent"], chosen["NetworkMode"], chosen["Runtime"]) == ("/group", "net", "runsc")
    assert not {"CgroupParent", "NetworkMode", "Runtime"} & _host(PLAN).keys()


def test_only_core_files_are_limited_beside_what_the_engine_limits() -> None:
    """A file with holes costs nothing, and the folders are bounded; open files cost the task memory."""
    assert _host(PLAN)["Ulimits"] == [{"Name": "core", "Soft": 0, "Hard": 0}]


def test_whatever_stops_the_program_sends_it_term_first() -> None:
    """As the worker does; the image may wish for another signal, by whose exit code nobody could tell that it was stopped."""
    assert container_config(PLAN)["StopSignal"] == "SIGTERM"


def test_stdin_is_open_only_for_a_plan_that_has_some() -> None:
    """It closes when the one who sends it is done; empty is some."""
    assert container_config(PLAN)["OpenStdin"] is False
    assert container_config(evolve(PLAN, stdin=b""))["OpenStdin"] is True
    assert container_config(evolve(PLAN, stdin=b""))["StdinOnce"] is True


def test_scratch_folders_are_bounded_and_belong_to_the_user() -> None:
    """Those for which the image wants volumes as well; /tmp stays as it is even if the image wants a volume there."""
    tmpfs = _host(PLAN, "/data", "/tmp")["Tmpfs"]  # noqa: S108
    assert tmpfs.keys() == {"/tmp", "/dev/shm", "/data"}  # noqa: S108
    assert tmpfs["/data"] == "rw,exec,nosuid,nodev,mode=1777,uid=1000,size=8388608,nr_inodes=2048"
    assert tmpfs["/dev/shm"] == "rw,noexec,nosuid,nodev,mode=1777,size=67108864,nr_inodes=16384"  # noqa: S108


def test_shared_memory_has_its_own_limit_and_never_more_than_the_memory() -> None:
    """As --shm-size has it for the engine."""
    for shm, size in ((8 << 20, 8 << 20), (1 << 30, 128 << 20)):
        limits = evolve(PLAN.limits, shm=shm)
        assert f"size={size}," in _host(evolve(PLAN, limits=limits))["Tmpfs"]["/dev/shm"]  # noqa: S108


@pytest.mark.parametrize("task_id", ["a", "a-files", "a-out", "a-kept", "a-1-kept", "a-1-kept0", "a-1-look-0"])
def test_no_name_of_a_container_is_that_of_something_beside_one(task_id: str) -> None:
    """Whatever the id of the task ends with; and each name beside it leads back."""
    name = container_name(task_id, 1)
    beside = [files_name(name), out_name(name), kept_name(name, 10)]
    assert [plan_name(each) for each in (name, *beside)] == [name] * 4


def test_what_the_image_has_in_a_volume_is_kept_read_only() -> None:
    """The engine copies it; scratch folders and the task's mounts stay what they are."""
    image = Image(volumes=("/app/", "/data", "/tmp", "/out"), filled={"/app/": 1, "/tmp": 1, "/out": 1})  # noqa: S108
    host = dict(container_config(evolve(PLAN, out=True), image))["HostConfig"]
    assert isinstance(host, Mapping)
    mount = {"Type": "volume", "Source": "orchestrator-t1-1-kept0", "Target": "/app", "ReadOnly": True}
    assert host["Mounts"][1:] == [{**mount, "VolumeOptions": {"Labels": PLAN.labels}}]
    assert host["Tmpfs"].keys() == {"/tmp", "/dev/shm", "/data"}  # noqa: S108


@pytest.mark.parametrize(
    ("given", "of_image", "added"),
    [
        (f"{TMP}/work", "", {f"{TMP}/work"}),
        (f"/{TMP}/a/../b/", "", {f"{TMP}/b"}),
        (None, f"{SHM}/x", {f"{SHM}/x"}),
        ("/data/x", "", {"/data/x"}),
        (TMP, f"{TMP}/work", set()),
        (f"{TMP}x/y", "", set()),
        ("/out/x", "", set()),
        (None, "", set()),
    ],
)  # fmt: skip
def test_a_working_folder_below_a_scratch_folder_is_one_itself(given: str | None, of_image: str, added: set[str]) -> None:
    """What runc makes there is root's; the task's own folder comes before the image's."""
    image = Image(volumes=("/data",), working_dir=of_image)
    host = dict(container_config(evolve(PLAN, working_dir=given, out=True), image))["HostConfig"]
    assert isinstance(host, Mapping)
    tmpfs = host["Tmpfs"]
    assert tmpfs.keys() - {"/tmp", "/dev/shm", "/data"} == added  # noqa: S108
    assert all(tmpfs[folder] == tmpfs["/tmp"] for folder in added)  # noqa: S108


def _covered(*volumes: str, plan: ContainerPlan = PLAN) -> set[str]:
    return _host(plan, *volumes)["Tmpfs"].keys() - _host(plan)["Tmpfs"].keys()


def test_a_volume_is_covered_where_the_engine_would_make_it() -> None:
    """However the image writes its path; a relative one stays, so that the engine refuses what cannot be covered."""
    assert _covered("/data/", "//data", "/data/.", "/x/../data") == {"/data"}
    assert _covered("/data/../x", "///y//z", "/tmp/", "/dev/shm/.", "/../w") == {"/x", "/y/z", "/w"}  # noqa: S108
    assert _covered("../../data", "data") == {"../../data", "data"}


def test_only_a_mount_of_its_own_needs_no_cover_and_what_is_below_it_does() -> None:
    """The engine makes a volume below a mount, too."""
    plan = evolve(PLAN, out=True, files={"a": b"b"})
    assert _covered("/task/", "//out", "/task/a", "/out/b", plan=plan) == {"/task/a", "/out/b"}
    assert _covered("/task/", "//out") == {"/task", "/out"}


def test_those_beside_the_program_get_no_volumes_of_the_image_either() -> None:
    """Hardly any memory instead, but for the mount that they are there for."""
    plan = evolve(PLAN, out=True, files={"a": b"b"})
    for make, other in ((loader_config, "/out"), (holder_config, "/task")):
        config: dict[str, Any] = dict(make(plan, Image(volumes=("/data/", "/task", "/out/"))))
        assert config["HostConfig"]["Tmpfs"] == dict.fromkeys(["/data", other], "size=4096,nr_inodes=1024")


@pytest.mark.parametrize(("user", "runs_as"), [("1000", "1000:1000"), ("0", "0:0"), ("1000:5", "1000:5")])
def test_the_group_is_never_left_to_the_image(user: str, runs_as: str) -> None:
    """Neither the program's nor that of the one that holds its folder; scratch folders belong to the user as before."""
    plan = evolve(PLAN, user=user, out=True)
    assert (container_config(plan)["User"], holder_config(plan)["User"]) == (runs_as, runs_as)
    assert f"uid={user.partition(':')[0]}," in _host(plan)["Tmpfs"]["/tmp"]  # noqa: S108


def test_a_tiny_scratch_folder_still_has_room_for_some_files() -> None:
    """Files are counted apart from bytes."""
    assert "size=4096,nr_inodes=1024" in _host(evolve(PLAN, limits=Limits(tmp=4096)))["Tmpfs"]["/tmp"]  # noqa: S108


@given(st.integers(0, 1 << 40))
def test_the_engines_log_is_bounded_and_holds_both_streams_at_their_limit(output: int) -> None:
    """Where 16 MiB do for it, even if every byte is a newline, which takes 26 bytes there; else if lines have 44 bytes or more.

    One file may have been emptied by rotation, and each passes its size by a message.
    """
    config = _host(evolve(PLAN, limits=Limits(output=output)))["LogConfig"]
    size, files = int(config["Config"]["max-size"]), int(config["Config"]["max-file"])
    assert config["Type"] == "local"
    assert files * (size + (16 << 10) + 64) <= max(4 * output, 16 << 20)
    assert (files - 1) * size >= (2 * 26 * output if output <= 240 << 10 else 2 * output * (44 + 26) / 44 - (1 << 18))


def test_only_a_container_without_a_network_needs_files_of_names() -> None:
    """For others the engine makes them; the host name is the one that they know."""
    closed, joined = (dict(container_config(evolve(PLAN, network=network), Image(), names="/n")) for network in (False, True))
    assert (closed["Hostname"], joined["Hostname"]) == ("task", "")
    assert closed["HostConfig"]["Mounts"] == [  # type: ignore[index]
        {"Type": "bind", "Source": f"/n/{name}", "Target": f"/etc/{name}", "ReadOnly": True}
        for name in ("hosts", "hostname", "resolv.conf")
    ]
    assert joined["HostConfig"]["Mounts"] == []  # type: ignore[index]


def test_files_come_through_a_volume_that_only_the_loader_may_write() -> None:
    """Both mount the same one, made with the plan's labels, without what the image has at that path."""
    plan = evolve(PLAN, files={"a": b"b"})
    loader: Any = loader_config(plan)
    (task_mount,), (loader_mount,) = _host(plan)["Mounts"], loader["HostConfig"]["Mounts"]
    assert task_mount == {**loader_mount, "ReadOnly": True}
    assert loader_mount["ReadOnly"] is False
    assert loader_mount["VolumeOptions"] == {"NoCopy": True, "Labels": PLAN.labels}
    assert loader["Labels"] == PLAN.labels
    assert _host(PLAN)["Mounts"] == []


def test_the_archive_holds_files_and_the_folders_above_them() -> None:
    """Each once, of root, for everyone to read and run, with a date that zip archives can hold."""
    files = {"a.sh": b"#!/bin/sh\n", "d/e/f": b"", "d/g": b"\0\xff"}
    with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
        members = tar.getmembers()
        contents = {member.name: tar.extractfile(member).read() for member in members if member.isfile()}
    assert contents == files
    assert [member.name for member in members if member.isdir()] == ["d", "d/e"]
    assert {(member.uid, member.gid, member.mode) for member in members} == {(0, 0, 0o555)}
    assert min(member.mtime for member in members) > 315_532_800


def test_only_a_plan_that_wants_it_has_a_folder_for_artifacts() -> None:
    """Of memory, bounded in bytes and inodes, the user's own; an image that wants a volume there gets this one."""
    limits = evolve(PLAN.limits, artifacts=8 << 20)
    host = _host(evolve(PLAN, out=True, limits=limits), "/out", "/data")
    (mount,) = host["Mounts"]
    assert (mount["Source"], mount["Target"]) == ("orchestrator-t1-1-out", "/out")
    options = mount["VolumeOptions"]["DriverConfig"]["Options"]
    assert (options["type"], options["o"]) == ("tmpfs", "nosuid,nodev,mode=1777,uid=1000,size=8388608,nr_inodes=2048")
    assert {"/data", "/out"} & host["Tmpfs"].keys() == {"/data"}
    assert _host(PLAN)["Mounts"] == []


def test_the_holder_of_a_folder_is_held_tighter_than_the_program() -> None:
    """It has the same mount and labels, and nothing that would loosen it."""
    config: dict[str, Any] = dict(holder_config(evolve(PLAN, out=True)))
    host = config["HostConfig"]
    assert not LOOSE & host.keys()
    assert (host["CapDrop"], host["SecurityOpt"], host["PidsLimit"]) == (["ALL"], ["no-new-privileges"], 1)
    assert (config["Labels"], config["User"], config["NetworkDisabled"]) == ({"task": "t1"}, "1000:1001", True)
    assert host["Mounts"] == _host(evolve(PLAN, out=True))["Mounts"]
