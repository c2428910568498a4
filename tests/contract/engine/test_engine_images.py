"""The volumes and users of an image, and the values that replace them, on Docker."""

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest
from docker import DockerClient

from orchestrator.adapters.docker import cleanup as docker_owned
from orchestrator.adapters.docker import image_content as docker_inside
from orchestrator.adapters.docker.container_config import files_name, kept_name, out_name
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.cause import Cause
from orchestrator.errors import TaskFailure
from tests.support.containers import IMAGE, LABEL, Bench, leftovers, library


@pytest.fixture
def import_image(docker: Bench) -> Iterator[Callable[..., str]]:
    """Makes images of the test image's files with a Dockerfile's instructions, and removes them."""
    made: list[str] = []
    with library() as client:
        source = client.containers.create(IMAGE)
        base = b"".join(source.export())
        source.remove()

        def make(*changes: str, files: Mapping[str, bytes] | None = None) -> str:
            tag = f"orchestrator-test-import:{uuid.uuid4().hex[:8]}"
            client.api.import_image_from_data(_with(base, files or {}), *tag.split(":"), changes=list(changes))
            made.append(tag)
            return tag

        yield make
        docker.clear()
        for tag in made:
            client.images.remove(tag)


def _with(base: bytes, files: Mapping[str, bytes]) -> bytes:
    """The tar with these files and the folders above them, in place of what has their paths."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(base)) as old,
        tarfile.open(fileobj=io.BytesIO(archive(files))) as added,
        tarfile.open(fileobj=buffer, mode="w") as tar,
    ):
        new = {member.name for member in added}
        for source in (old, added):
            for member in source:
                if source is added or member.name not in new:
                    tar.addfile(member, source.extractfile(member) if member.isreg() else None)
    return buffer.getvalue()


@pytest.mark.parametrize("path", ["/bin/", "//bin", "/bin/.", "/etc/../bin"])
def test_a_volume_takes_no_disk_beside_its_content_however_its_path_is_written(
    docker: Bench, import_image: Callable[..., str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for what stands beside the program, and for it one copy of the full /bin, which goes with it."""
    plan = docker.plan(("nothing",), image=import_image(f'VOLUME ["{path}"]'), files={"a": b"b"}, out=True)
    with monkeypatch.context() as patched:
        patched.setattr(docker_owned, "remove_container", lambda *_: None)
        docker.engine.create(plan)
    with library() as client:
        assert _mounted(client, files_name(plan.name)) == [files_name(plan.name)]
        assert _mounted(client, out_name(plan.name)) == [out_name(plan.name)]
        assert _mounted(client, plan.name) == sorted([files_name(plan.name), out_name(plan.name), kept_name(plan.name, 0)])


def _mounted(client: DockerClient, name: str) -> list[str]:
    return sorted(mount["Name"] for mount in client.containers.get(name).attrs["Mounts"] if mount["Type"] == "volume")


def test_a_volume_with_one_large_file_is_kept(docker: Bench, import_image: Callable[..., str]) -> None:
    """A file that is larger than what is looked into."""
    image = import_image("VOLUME /data", files={"data/large": b"x" * (3 << 20)})
    assert docker.run("wc -c </data/large", image=image).stdout.strip() == b"3145728"


def test_volumes_with_more_in_them_than_the_bound_are_refused(
    docker: Bench, import_image: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together, and before anything is made of them; what one of the task's mounts hides is not copied and does not count."""
    monkeypatch.setattr(docker_inside, "VOLUMES_MOST", 1 << 20)
    halves = {"data/a": b"x" * (600 << 10), "out/b": b"x" * (600 << 10)}
    image = import_image("VOLUME /data /out", files=halves)
    plan = docker.plan("wc -c </data/a", image=image)
    with pytest.raises(TaskFailure, match=r"has more than 1048576 bytes in its volumes \(/data, /out\)") as refused:
        docker.engine.create(plan)
    assert refused.value.cause is Cause.INVALID
    assert leftovers(plan.labels[LABEL]) == []
    assert docker.run("wc -c </data/a", image=image, out=True).stdout.strip() == b"614400"


@pytest.mark.parametrize("path", ["../../data", "data", "/", "/data/.."])
def test_a_volume_that_nothing_can_stand_for_is_refused(docker: Bench, import_image: Callable[..., str], path: str) -> None:
    """The engine would mount it over any replacement."""
    image = import_image(f'VOLUME ["{path}"]')
    for fields in ({}, {"files": {"a": b"b"}}, {"out": True}):
        with pytest.raises(TaskFailure, match="invalid"):
            docker.engine.create(docker.plan("true", image=image, **fields))


def test_an_image_with_a_volume_for_etc_has_the_names(docker: Bench, import_image: Callable[..., str]) -> None:
    """They are mounted in the read-only copy of it."""
    image = import_image("VOLUME /etc", files={"etc/mark": b"own"})
    ran = docker.run("grep -c localhost /etc/hosts; cat /etc/mark", image=image)
    assert ran.stdout == b"2\nown"


def test_an_image_with_a_folder_in_place_of_its_hosts_is_refused(docker: Bench, import_image: Callable[..., str]) -> None:
    """As invalid, with the path: no attempt could mount a file over it."""
    plan = docker.plan("true", image=import_image(files={"etc/hosts/a": b""}))
    container = docker.engine.create(plan).id
    with pytest.raises(TaskFailure, match="/etc/hosts") as refused:
        docker.engine.start(container)
    assert refused.value.cause is Cause.INVALID


def test_labels_of_an_image_are_blank(docker: Bench, import_image: Callable[..., str]) -> None:
    """A proxy or a log shipper of the host reads labels of containers.

    This package's labels in an image do not count either.
    """
    image = import_image('LABEL traefik.enable=true orchestrator.task=other com.example="a b"')
    plan = docker.plan(("true",), image=image, files={"a": b"b"}, out=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(docker_owned, "remove_container", lambda *_: None)
        docker.engine.create(plan)
    with library() as client:
        for name in (plan.name, files_name(plan.name), out_name(plan.name)):
            labels = client.containers.get(name).labels
            assert {label: value for label, value in labels.items() if value} == plan.labels
    assert docker.engine.create(plan).id == docker.engine.inspect(plan.name).id


@pytest.fixture
def grouping_image(docker: Bench) -> Iterator[str]:
    """An image that has user 1000 in group 0."""
    tag = f"orchestrator-test-groups:{uuid.uuid4().hex[:8]}"
    files = "echo u:x:1000:0::/:/bin/sh >/etc/passwd; echo root:x:0:u >/etc/group"
    with library() as client:
        source = client.containers.create(IMAGE, ["sh", "-c", files])
        source.start()
        source.wait()
        source.commit(*tag.split(":"))
        source.remove()
        yield tag
        docker.clear()
        client.images.remove(tag)


def test_a_user_without_a_group_has_one_of_that_number_and_no_other(docker: Bench, grouping_image: str) -> None:
    """With any groups of the image. The program can read files and write to /out and /tmp."""
    script = "id -u; id -g; id -G; cat /task/a >/out/b; cat /out/b; echo >/tmp/c"
    ran = docker.run(script, image=grouping_image, user="1000", files={"a": b"read"}, out=True)
    assert (ran.stdout, ran.stderr) == (b"1000\n1000\n1000\nread", b"")
