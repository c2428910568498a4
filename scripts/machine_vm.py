"""One machine of a checkout: started from its disk, reached by ssh on loopback, ended. A machine is a process of qemu."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from scripts import machine_disk
from scripts.machine_disk import CACHE, CHECKOUT, ENGINE, LOAD, SUITES, Disk
from scripts.packages import NotReady

HOME = CHECKOUT / ".orchestrator/machines"
MEMORY, CORES = 3072, 2
SNAPSHOT = "booted"
PATIENCE = 1800.0
"""Seconds for a boot, or for one step of a preparation; a boot takes 45 under emulation when nothing else runs."""
_QUIT = 60.0
_KERNEL_LINE = "console=ttyS0 panic=-1 root=/dev/vda rw quiet loglevel=3 net.ifnames=0 systemd.show_status=0"
_ENGINE = "until docker version >/dev/null 2>&1; do sleep 0.5; done"
_FIRST_TIME = f"{_ENGINE}; for image in {LOAD}/images/*.tar; do docker load -qi $image; rm $image; done"
_NETWORK = "ip route replace default via 10.0.2.2; echo nameserver 10.0.2.3 >/etc/resolv.conf"
_CGROUPFS = f"""echo '{json.dumps(ENGINE | {"exec-opts": ["native.cgroupdriver=cgroupfs"]})}' >/etc/docker/daemon.json
systemctl restart docker"""


@dataclass(frozen=True)
class Machine:
    """A machine by its name; what it changes is in its folder."""

    name: str
    home: Path = HOME

    @property
    def suite(self) -> str:
        """The Debian that it runs."""
        return self.name.partition("-")[0]

    @property
    def kind(self) -> str:
        """What distinguishes it from others of its suite: nothing, ``bare`` or ``cgroupfs``."""
        return self.name.partition("-")[2]

    @property
    def bare(self) -> bool:
        """Whether it has neither engine nor venv module."""
        return self.kind == "bare"

    @property
    def folder(self) -> Path:
        """Where its layer, its process id and its monitor are."""
        return self.home / self.name

    @property
    def disk(self) -> Disk:
        """What it boots from."""
        return machine_disk.disk(self.suite, bare=self.bare)

    @property
    def pid(self) -> int | None:
        """Its process, if it runs."""
        try:
            pid = int((self.folder / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self.folder).encode() in command else None


def machine(name: str) -> Machine:
    """The machine of a name. Raises NotReady."""
    named = Machine(name)
    if named.suite not in SUITES or named.kind not in {"", "bare", "cgroupfs"}:
        raise NotReady(f"no machine is named {name}; take {', '.join(SUITES)}, or one of them with -bare or -cgroupfs")
    return named


def virtualises(cpuinfo: str, device: str = "/dev/kvm") -> bool:
    """Whether the processor can run a machine itself. /dev/kvm alone says little: where it is emulated, it is of no use."""
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    return bool(flags & {"vmx", "svm"}) and os.access(device, os.R_OK | os.W_OK)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def qemu(disk: Disk, folder: Path, port: int, *, net: bool, kvm: bool, snapshot: str = "") -> list[str]:
    """The command that starts a machine in the background.

    Emulated processors share a thread: with one each, a kernel that patches its own code has panicked.
    """
    accel = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=single", "-cpu", "max"]
    limits = "" if net else "restrict=on,"
    return [
        *("qemu-system-x86_64", *accel, "-smp", str(CORES), "-m", str(MEMORY), "-display", "none", "-no-reboot"),
        *("-nic", f"user,model=virtio-net-pci,ipv6=off,{limits}hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-drive", f"file={folder}/disk.qcow2,if=virtio,format=qcow2", "-device", "virtio-rng-pci"),
        *("-kernel", str(disk.kernel), "-initrd", str(disk.initrd), "-append", _KERNEL_LINE),
        *("-serial", f"file:{folder}/serial", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
        *("-daemonize", "-pidfile", f"{folder}/pid"),
        *(("-loadvm", snapshot) if snapshot else ()),
    ]


def build(one: Machine) -> None:
    """Make the disk and the booted copy unless they are there. Raises NotReady."""
    with machine_disk.locked(one.suite):
        disk = machine_disk.make(one.suite, bare=one.bare)
        if disk.booted.exists():
            return
        print(f"machines: booting {disk.path.parent.name} for the first time, about a minute", flush=True)
        first = Machine(one.suite, disk.path.parent / "first")
        try:
            _boot(first, disk, net=False)
            if not one.bare:
                inside(first, _FIRST_TIME)
            inside(first, "systemctl is-system-running --wait; sync")
            _save(first, disk)
        finally:
            down(first)


def up(one: Machine, *, net: bool = False) -> None:
    """Have the machine running. Raises NotReady."""
    if one.pid:
        return
    build(one)
    _start(one, one.disk, net=net or one.bare)
    inside(one, f"date -s @{int(time.time())}")
    if net or one.bare:
        inside(one, _NETWORK)
    if one.kind == "cgroupfs":
        inside(one, _CGROUPFS)
    if not one.bare:
        inside(one, _ENGINE)


def down(one: Machine) -> None:
    """End the machine and forget what it changed."""
    if pid := one.pid:
        subprocess.run([*ssh(one), "-O", "exit"], check=False, capture_output=True)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: one.pid is None, _QUIT)
    shutil.rmtree(one.folder, ignore_errors=True)


def ssh(one: Machine, *options: str) -> list[str]:
    """The command that reaches the machine; calls share a connection, as a handshake takes a second under emulation."""
    settings = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "ControlMaster": "auto",
        "ControlPersist": "600",
        "ControlPath": str(CACHE / hashlib.sha256(str(one.folder).encode()).hexdigest()[:12]),
    }
    pairs = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    key = ["-i", str(one.folder / "key"), "-p", (one.folder / "port").read_text()]
    return ["ssh", *pairs, *key, *options, "root@127.0.0.1"]


def inside(one: Machine, command: str, content: bytes = b"") -> str:
    """What a command prints in the machine. Raises NotReady."""
    try:
        done = subprocess.run([*ssh(one), command], check=False, input=content, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise NotReady(f"in {one.name} `{command[:200]}` did not end within {PATIENCE:g} s") from None
    if done.returncode:
        raise NotReady(f"in {one.name} `{command[:200]}` failed:\n{done.stderr.decode(errors='replace')[-2000:].strip()}")
    return done.stdout.decode()


def call(one: Machine, command: str, *, limit: float | None = None, output: int | None = None) -> int:
    """Run a command in the machine; its exit status. Raises subprocess.TimeoutExpired after ``limit`` seconds."""
    terminal = ["-t"] if output is None and sys.stdin.isatty() else []
    stderr = None if output is None else subprocess.STDOUT
    return subprocess.run([*ssh(one, *terminal), command], check=False, stdout=output, stderr=stderr, timeout=limit).returncode


def _save(first: Machine, disk: Disk) -> None:
    """Keep the machine as it is now, and end it."""
    complaint = _monitor(first, "human-monitor-command", {"command-line": f"savevm {SNAPSHOT}"})
    _monitor(first, "quit")
    wait_until(lambda: first.pid is None, _QUIT)
    if complaint:
        print(f"machines: no snapshot, so that each start is a boot: {complaint}", flush=True)
    else:
        (first.folder / "disk.qcow2").rename(disk.booted)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


def _start(one: Machine, disk: Disk, *, net: bool) -> None:
    """From the booted copy where there is one that this qemu takes, or else by a boot."""
    if disk.booted.exists():
        _prepare(one, disk)
        shutil.copyfile(disk.booted, one.folder / "disk.qcow2")
        try:
            _launch(one, disk, net=net, snapshot=SNAPSHOT)
        except NotReady as reason:
            print(f"machines: the booted copy of {one.suite} is of no use, so it boots: {reason}", flush=True)
        else:
            return
    _boot(one, disk, net=net)


def _boot(one: Machine, disk: Disk, *, net: bool) -> None:
    _prepare(one, disk)
    layer = ["-f", "qcow2", "-F", "raw", "-b", str(disk.path), str(one.folder / "disk.qcow2")]
    machine_disk.run("qemu-img", "create", "-q", *layer)
    _launch(one, disk, net=net)


def _prepare(one: Machine, disk: Disk) -> None:
    down(one)
    one.folder.mkdir(parents=True)
    shutil.copy(disk.key, one.folder / "key")
    (one.folder / "key").chmod(0o600)
    (one.folder / "port").write_text(str(free_port()))


def _launch(one: Machine, disk: Disk, *, net: bool, snapshot: str = "") -> None:
    port = int((one.folder / "port").read_text())
    kvm = virtualises(Path("/proc/cpuinfo").read_text())
    machine_disk.run(*qemu(disk, one.folder, port, net=net, kvm=kvm, snapshot=snapshot))
    probe = [*ssh(one, "-o", "ConnectTimeout=30"), "true"]

    def answers() -> bool:
        return subprocess.run(probe, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    if not wait_until(lambda: one.pid is None or answers(), PATIENCE) or one.pid is None:
        said = (one.folder / "serial").read_text(errors="replace")[-2000:].strip()
        down(one)
        raise NotReady(f"{one.name} does not come up; the end of what it said:\n{said or '(nothing)'}")


def _monitor(one: Machine, command: str, arguments: dict[str, str] | None = None) -> str:
    """Tell qemu; what it answers, nothing when it did as told."""
    messages: Sequence[object] = ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}})
    answer: dict[str, object] = {}
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(one.folder / "qmp"))
        with channel.makefile("rw") as stream:
            stream.readline()
            for message in messages:
                stream.write(json.dumps(message) + "\n")
                stream.flush()
                answer = _answer(stream)
    return str(answer.get("error") or answer.get("return") or "").strip()


def _answer(stream: TextIO) -> dict[str, object]:
    while line := stream.readline():
        message: dict[str, object] = json.loads(line)
        if "event" not in message:
            return message
    return {}
