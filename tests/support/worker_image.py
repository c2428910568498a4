"""Builds the worker's image from this checkout without a network, as a machine without an image registry has to."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
BASE = "orchestrator-python:1"
NAME = "orchestrator-worker"
LOCKS = (ROOT / "requirements/build.txt", ROOT / "requirements/worker.txt")
LABEL = "orchestrator.image=test"
GLIBC = 36
"""The oldest C library (2.x) that the base may have: Debian 12's."""


def build(engine: docker.DockerClient, folder: Path) -> str:
    """The image's name; it stays, as a cache for the next run, and what the last run built from other files goes."""
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    for name in ("orchestrator", "statemachine", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for lock in LOCKS:
        download(lock, python(engine), folder / "wheelhouse")
    for stage in ("build", "worker"):  # the first has a name of its own so that its layers are kept too
        engine.images.build(
            path=str(folder),
            target=stage,
            tag=f"{NAME}:{stage}",
            buildargs={"BASE": BASE, "PIP_NO_INDEX": "1"},
            labels=dict([LABEL.split("=")]),
            network_mode="none",
            rm=True,
            forcerm=True,
        )
    engine.images.prune({"label": LABEL, "dangling": True})
    return f"{NAME}:worker"


def python(engine: docker.DockerClient) -> str:
    """The version of the base's Python, such as 3.11.2."""
    ask = ["python3", "-c", "import platform; print(platform.python_version())"]
    return str(engine.containers.run(BASE, ask, remove=True, network_disabled=True).decode().strip())


def download(lock: Path, python: str, folder: Path) -> None:
    """The packages of a lock, for a Python, in a folder."""
    folder.mkdir(exist_ok=True)
    wanted = folder.parent / lock.name
    wanted.write_text("\n".join(_that_apply(lock, python)))
    platforms = [f"manylinux_2_{minor}_{platform.machine()}" for minor in range(17, GLIBC + 1)]
    target = [word for name in ("manylinux2014_" + platform.machine(), *platforms) for word in ("--platform", name)]
    download = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    python_tag = ["--implementation", "cp", "--python-version", python.rpartition(".")[0]]
    subprocess.run([*download, *python_tag, *target, "--dest", folder, "-r", wanted], check=True, stdin=subprocess.DEVNULL)


def _that_apply(lock: Path, python: str) -> Iterator[str]:
    """The locked requirements, with their hashes, whose markers hold for a Python; pip would judge them by its own."""
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        requirement, *hashes = line.partition("#")[0].split(" --hash")
        if hashes:
            marker = Requirement(requirement).marker
            if marker is None or marker.evaluate(environment):
                yield " --hash".join([requirement.partition(";")[0], *hashes])
