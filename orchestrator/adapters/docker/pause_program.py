"""The programs of the containers beside a task's own: ELF files of some 130 bytes, because an image may have none."""

import struct
from collections.abc import Mapping

from attrs import frozen

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import PROGRAM
from orchestrator.adapters.docker.errors import translated
from orchestrator.adapters.docker.input_volume import archive

_BASE, _HEADERS = 0x400000, 120
_MACHINES = {"x86_64": 62, "aarch64": 183}
"""The number that ELF has for each architecture."""


@frozen
class Program:
    """The machine code of such a program, in hexadecimal, by architecture as the kernel names it."""

    code: Mapping[str, str]

    def runs_on(self, architecture: str) -> bool:
        """Whether the program is written for this kind of machine."""
        return architecture in self.code

    def elf(self, architecture: str) -> bytes:
        """The executable, with one segment. Raises KeyError for a machine without machine code here."""
        code = bytes.fromhex(self.code[architecture])
        size, machine = _HEADERS + len(code), _MACHINES[architecture]
        head = struct.pack(
            "<4s5B7x2HI3QI6H", b"\x7fELF", 2, 1, 1, 0, 0, 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
        )
        return head + struct.pack("<2I6Q", 1, 5, 0, _BASE, _BASE, size, size, 1 << 16) + code


PAUSE = Program({"x86_64": "b8220000000f05ebf7", "aarch64": "000080d2010080d2020080d2030080d2280980d2010000d4faffff17"})
"""Waits for ever: repeats pause(), or ppoll() of nothing."""
QUIT = Program({"x86_64": "31ffb83c0000000f05", "aarch64": "000080d2a80b80d2010000d4"})
"""exit(0)."""


def put(client: DockerClient, container: str, executable: bytes) -> None:
    """Write the program to PROGRAM in a container that is not started. Raises InfrastructureError, ContainerMissing."""
    with translated():
        client.api.put_archive(container, "/", archive({PROGRAM.lstrip("/"): executable}))
