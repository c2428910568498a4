"""Compiles the program of waiting containers into `handover_code.py`: `make handover`. Needs ziglang, or zig in PATH.

The compiler makes the same bytes for the same source, so a second run changes nothing.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestrator.adapters.docker.pause_program import BASE, HEADERS

FOLDER = Path(__file__).parents[1] / "orchestrator" / "adapters" / "docker"
SOURCE, MODULE = FOLDER / "handover.c", FOLDER / "handover_code.py"
MACHINES = ("x86_64", "aarch64")
_LINE = 120
_FLAGS = (
    *("-Oz", "-ffreestanding", "-fno-builtin", "-nostdlib", "-static", "-fno-pic", "-fno-pie", "-fno-stack-protector"),
    *("-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror"),
)
_LAYOUT = f"""\
SECTIONS {{
    . = {BASE + HEADERS:#x};
    .all : {{ *(.begin) *(.text*) *(.rodata*) }}
    /DISCARD/ : {{ *(.comment) *(.eh_frame*) *(.note*) *(.ARM*) }}
}}
"""


def main() -> int:
    """Write the module."""
    zig = compiler()
    if not zig:
        print("needs zig: pip install ziglang==0.17.1, in an environment of its own or in .venv")
        return 1
    version = subprocess.run([*zig, "version"], check=True, capture_output=True, text=True).stdout.strip()
    parts = [f'    "{machine}": (\n{_lines(compiled(zig, machine).hex())}    ),\n' for machine in MACHINES]
    MODULE.write_text(
        f'"""Made by `make handover` from handover.c with zig {version}; edits here are lost."""\n\n'
        f'SOURCE = "{source_digest()}"\n"""The SHA-256 of handover.c."""\nCODE = {{\n{"".join(parts)}}}\n'
        '"""The machine code in hexadecimal, by architecture as the kernel names it."""\n'
    )
    return 0


def compiler() -> list[str]:
    """The command of the compiler; empty if there is none."""
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang"]
    return [found] if (found := shutil.which("zig")) else []


def source_digest() -> str:
    """The SHA-256 of the source."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def compiled(zig: list[str], machine: str) -> bytes:
    """The machine code for one architecture."""
    with tempfile.TemporaryDirectory() as folder:
        layout, program, code = (Path(folder) / name for name in ("layout", "program", "code"))
        layout.write_text(_LAYOUT)
        target = ["-target", f"{machine}-linux-none", f"-Wl,-T,{layout}", "-Wl,--build-id=none"]
        subprocess.run([*zig, "cc", *target, *_FLAGS, "-o", program, SOURCE], check=True)
        subprocess.run([*zig, "objcopy", "-O", "binary", program, code], check=True)
        return code.read_bytes()


def _lines(text: str) -> str:
    width = _LINE - 12
    return "".join(f'        "{text[at : at + width]}"\n' for at in range(0, len(text), width))


if __name__ == "__main__":
    sys.exit(main())
