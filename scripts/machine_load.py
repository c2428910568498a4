"""Saves what a machine without a network takes along: ``python -m scripts.machine_load FOLDER``.

That are the images of demo and tests that this host's engine has, and the packages that the worker's image is built from.
"""

import sys
from pathlib import Path

import docker

from scripts.engine import address, answers
from scripts.image import IMAGES
from scripts.packages import NotReady
from tests.support import worker_image


def main(folder: Path) -> int:
    """Save all of it, or say what to do; the exit code says which."""
    try:
        save(folder)
    except NotReady as reason:
        print(f"machines: {reason}", file=sys.stderr)
        return 1
    return 0


def save(folder: Path) -> None:
    """Write ``images/NAME.tar`` and ``wheels/``. Raises NotReady."""
    host = address()
    if not answers(host):
        raise NotReady(f"no Docker engine answers at {host}, whose images a machine takes along; `make ready` sees to that")
    client = docker.DockerClient(base_url=host, timeout=600)
    (folder / "images").mkdir()
    for name, image in IMAGES.items():
        if not client.images.list(name=image.name):
            raise NotReady(f"the engine has no {image.name}; `python -m scripts.image {name}` sees to that")
        with (folder / "images" / f"{name}.tar").open("wb") as file:
            file.writelines(client.images.get(image.name).save(named=image.name))
    python = worker_image.python(client)
    for lock in worker_image.LOCKS:
        worker_image.download(lock, python, folder / "wheels")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
