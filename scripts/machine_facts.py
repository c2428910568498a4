"""What kind of host this is, as its engine and its kernel tell: prints an object of JSON."""

import json
import platform
import sys
from contextlib import closing

import docker

from scripts.engine import address, answers

FACTS = ("system", "kernel", "engine", "runc", "cgroup", "driver", "python")
"""What is told, in the order of the page."""


def facts() -> dict[str, str]:
    """The facts by name; none where no engine answers."""
    if not answers(address()):
        return {}
    with closing(docker.DockerClient(base_url=address())) as client:
        info, version = client.info(), client.version()
    runc = next((part["Version"] for part in version.get("Components", []) if part["Name"] == "runc"), "unknown")
    return {
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
        "engine": str(version["Version"]),
        "runc": str(runc),
        "cgroup": f"v{info.get('CgroupVersion', '1')}",
        "driver": str(info["CgroupDriver"]),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    json.dump(facts(), sys.stdout)
