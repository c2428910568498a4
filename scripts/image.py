"""Make sure that the engine has the images of demo and tests: pull them, or make them from Debian's packages.

``busybox`` is the small one that tasks run in; ``python`` is the base that the worker's own image is built on in its test.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import docker
from attrs import frozen

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import ImageUnavailable, InfrastructureError
from orchestrator.ports import PullPolicy
from scripts.engine import address, answers
from scripts.packages import NotReady, can_install, install, read, releases, told

SILENCE = 15.0
"""Seconds without a word after which a registry counts as not there."""
_PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@frozen
class Image:
    """An image of this project: where registries have it, and how it is made where none answers."""

    name: str
    source: str
    make: Callable[[docker.DockerClient, str], None]


def main(names: list[str]) -> None:
    """Print a line for each image, or end with what to do."""
    with told("image"):
        host = address()
        if not answers(host):
            raise NotReady(f"no Docker engine answers at {host}; `make ready` sees to that")
        client = docker.DockerClient(base_url=host, timeout=600)
        pull = partial(DockerEngine(host, pull_stall=SILENCE).pull, policy=PullPolicy.MISSING)
        for name in names:
            print(f"image: {ready(client, pull, IMAGES[name])}")


def ready(client: docker.DockerClient, pull: Callable[[str], None], image: Image) -> str:
    """What was done to have the image. Raises NotReady."""
    if client.images.list(name=image.name):
        return f"{image.name} is there"
    try:
        pull(image.source)
    except (ImageUnavailable, InfrastructureError) as reason:
        print(f"image: {reason}; making {image.name} from Debian's packages", flush=True)
        try:
            image.make(client, image.name)
        except NotReady as missing:
            by_hand = f"load it by hand (docker pull {image.source}, docker tag {image.source} {image.name})"
            raise NotReady(f"{image.name} can neither be pulled nor made; {by_hand}, or see to this: {missing}") from None
        return f"{image.name} is made"
    client.images.get(image.source).tag(*image.name.split(":"))
    return f"{image.name} is {image.source}"


def _make_busybox(client: docker.DockerClient, name: str) -> None:
    binary = read("busybox-static", "bin/busybox")
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as files:
        _add(files, "tmp", tarfile.DIRTYPE, mode=0o1777)
        _add(files, "bin/busybox", content=binary)
        for applet in _applets(binary):
            _add(files, f"bin/{applet}", tarfile.SYMTYPE, target="busybox")
        _add(files, "usr/bin/env", tarfile.SYMTYPE, target="/bin/busybox")
        _add(files, "etc/passwd", mode=0o644, content=b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        _add(files, "etc/group", mode=0o644, content=b"root:x:0:\nnogroup:x:65534:\n")
    _import(client, name, content.getvalue(), "CMD sh")


def _applets(binary: bytes) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "busybox"
        program.write_bytes(binary)
        program.chmod(0o755)
        names = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return [name for name in names if name != "busybox"]


def _add(
    files: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    mode: int = 0o755,
    content: bytes = b"",
    target: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), target
    files.addfile(entry, BytesIO(content))


def _make_python(client: docker.DockerClient, name: str) -> None:
    if not can_install():
        raise NotReady("only root on Debian or Ubuntu can make it")
    if not shutil.which("debootstrap"):
        install("debootstrap")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        _debootstrap(root)
        tar = subprocess.run(["tar", "-C", root, "-c", "."], check=True, stdout=subprocess.PIPE)
        _import(client, name, tar.stdout, "CMD python3")


def _debootstrap(root: Path) -> None:
    """A minimal Debian with Python in the folder. What it mounts there goes with its mount namespace, whatever happens."""
    packages = "--include=python3,python3-venv,ca-certificates"
    done = subprocess.run(
        ["unshare", "--mount", "debootstrap", "--variant=minbase", packages, *_release(root)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise NotReady(f"debootstrap failed; see to what it says, then repeat this:\n{done.stdout[-2000:]}")
    for folder in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)


def _release(root: Path, scripts: Path = Path("/usr/share/debootstrap/scripts")) -> list[str]:
    """The machine's release for debootstrap: codename, target, mirror, and the general script when it has none of this name."""
    system, known = platform.freedesktop_os_release(), releases()
    named = system.get("VERSION_CODENAME", "")
    codename = named if named in known else next(iter(known), named)  # Debian unstable has the name of testing, or none
    if not codename:
        raise NotReady(
            "neither /etc/os-release nor apt tells which release of Debian this is; pull a Python image and tag it so"
        )
    mirror = [known[codename]] if codename in known else []
    general = "gutsy" if system.get("ID") == "ubuntu" else "sid"
    return [codename, str(root), *mirror, *([] if (scripts / codename).exists() or not mirror else [general])]


def _import(client: docker.DockerClient, name: str, tar: bytes, command: str) -> None:
    repository, _, tag = name.partition(":")
    client.api.import_image_from_data(tar, repository, tag, changes=[_PATH, command])


IMAGES = {
    "busybox": Image("orchestrator-busybox:1", "busybox:1.37", _make_busybox),
    "python": Image("orchestrator-python:1", "python:3.12-slim", _make_python),
}

if __name__ == "__main__":
    main(sys.argv[1:])
