"""Programs of this package: ELF files of machine code, because an image may have none. These two have some 190 bytes."""

import struct
from collections.abc import Mapping

from attrs import frozen

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import PROGRAM
from orchestrator.adapters.docker.errors import translated
from orchestrator.adapters.docker.input_volume import archive

BASE, HEADERS = 0x400000, 176
"""Where a program lies in memory, and the bytes before its machine code."""
_MACHINES = {"x86_64": 62, "aarch64": 183}
"""The number that ELF has for each architecture."""
_STACK = 0x6474E551
"""The type of the header PT_GNU_STACK. Without it, old kernels make all memory of the program executable."""


@frozen
class Program:
    """The machine code of such a program, in hexadecimal, by architecture as the kernel names it."""

    code: Mapping[str, str]

    def runs_on(self, architecture: str) -> bool:
        """Whether the program is written for this kind of machine."""
        return architecture in self.code

    def elf(self, architecture: str) -> bytes:
        """The executable, with one segment and a stack that is no code. Raises KeyError for a machine without machine code."""
        code = bytes.fromhex(self.code[architecture])
        size, machine = HEADERS + len(code), _MACHINES[architecture]
        head = struct.pack(
            "<4s5B7x2HI3QI6H", b"\x7fELF", 2, 1, 1, 0, 0, 2, machine, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0
        )
        segment = struct.pack("<2I6Q", 1, 5, 0, BASE, BASE, size, size, 1 << 16)
        return head + segment + struct.pack("<2I6Q", _STACK, 6, 0, 0, 0, 0, 0, 16) + code


PAUSE = Program({"x86_64": "b8220000000f05ebf7", "aarch64": "000080d2010080d2020080d2030080d2280980d2010000d4faffff17"})
"""Waits for ever: repeats pause(), or ppoll() of nothing."""
QUIT = Program({"x86_64": "31ffb83c0000000f05", "aarch64": "000080d2a80b80d2010000d4"})
"""exit(0)."""


def put(client: DockerClient, container: str, executable: bytes) -> None:
    """Write the program to PROGRAM in a container that is not started. Raises InfrastructureError, ContainerMissing."""
    with translated():
        client.api.put_archive(container, "/", archive({PROGRAM.lstrip("/"): executable}))
