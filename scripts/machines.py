"""Real Debian machines for the tests, with systemd, cgroup v2 and a Docker engine of their own, under qemu.

    python -m scripts.machines build NAME...            make the disk and a booted copy: two minutes, then kept
    python -m scripts.machines up NAME [--net]          have it running: seconds once built
    python -m scripts.machines sync NAME                copy what changed of this checkout to /root/orchestrator
    python -m scripts.machines ssh NAME -- COMMAND...   run a command there as root, in the checkout; its exit status is ours
    python -m scripts.machines test NAME -- ARGS...     up, sync, then pytest with the arguments
    python -m scripts.machines down NAME                end it; all that it changed is gone
    python -m scripts.machines list                     those of this checkout

NAME is a suite: ``bookworm`` (Debian 12, Docker 20.10), ``trixie`` (13, 26.1), ``forky`` (testing, 28.5). ``trixie-bare`` has
no engine, no venv module and a network; ``trixie-cgroupfs`` has the engine's other cgroup driver. A machine belongs to its
checkout and stays up until ``down``. It has two cores, 3 GiB and, but for ``--net``, no network; where the processor cannot
virtualise, all takes 8 to 15 times as long as outside. Making a disk needs root on Debian.
"""

import argparse
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import machine_disk
from scripts.machine_disk import CHECKOUT, IMAGES, INSIDE, SUITES, Disk
from scripts.packages import NotReady

HOME = CHECKOUT / ".orchestrator/machines"
MEMORY, CORES = 3072, 2
SNAPSHOT = "booted"
PATIENCE = 900.0
"""Seconds for a boot; one takes 45 under emulation when nothing else runs."""
_KERNEL_LINE = "console=ttyS0 panic=-1 root=/dev/vda rw quiet loglevel=3 net.ifnames=0 systemd.show_status=0"
_MANIFEST = "/root/checkout.json"
_CGROUPFS = (
    """mkdir -p /etc/docker; echo '{"exec-opts": ["native.cgroupdriver=cgroupfs"]}' >/etc/docker/daemon.json"""
    "; systemctl restart docker"
)
_NETWORK = "ip route replace default via 10.0.2.2; echo nameserver 10.0.2.3 >/etc/resolv.conf"


@dataclass(frozen=True)
class Machine:
    """A machine of this checkout; what it changes is in its folder."""

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
        """Where its layer, its process id and its sockets are."""
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
    """Whether the processor can run a machine itself. A /dev/kvm alone says little: some emulate it, slower than qemu."""
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    return bool(flags & {"vmx", "svm"}) and os.access(device, os.R_OK | os.W_OK)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def qemu(disk: Disk, folder: Path, port: int, *, net: bool, kvm: bool, snapshot: str = "") -> list[str]:
    """The command that starts a machine in the background."""
    accel = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=single", "-cpu", "max"]
    limits = "" if net else "restrict=on,"
    return [
        *("qemu-system-x86_64", *accel, "-smp", str(CORES), "-m", str(MEMORY), "-display", "none", "-no-reboot"),
        *("-nic", f"user,model=virtio-net-pci,ipv6=off,{limits}hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-drive", f"file={folder}/disk.qcow2,if=virtio,format=qcow2"),
        *("-device", "virtio-rng-pci"),
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
        print(f"machines: booting {one.suite} for the first time, about a minute", flush=True)
        first = Machine(one.name, disk.path.parent / "first")
        _boot(first, disk, net=False)
        if not first.bare:
            _in(first, f"until docker version; do sleep 1; done; for image in /{IMAGES}/*.tar; do docker load -i $image; done")
        _in(first, "sync; systemctl is-system-running --wait || true")
        complaint = _monitor(first, "human-monitor-command", {"command-line": f"savevm {SNAPSHOT}"})
        _monitor(first, "quit")
        _until(lambda: first.pid is None, 60)
        if complaint:
            print(f"machines: no snapshot, each start boots: {complaint}", flush=True)
        else:
            (first.folder / "disk.qcow2").rename(disk.booted)
        shutil.rmtree(first.home)


def up(one: Machine, *, net: bool = False) -> None:
    """Have the machine running. Raises NotReady."""
    if one.pid:
        return
    net = net or one.bare
    build(one)
    _start(one, one.disk, net=net)
    _in(one, f"date -s @{int(time.time())} >/dev/null")
    if net:
        _in(one, _NETWORK)
    if one.kind == "cgroupfs":
        _in(one, _CGROUPFS)
    if not one.bare:
        _in(one, "until docker version >/dev/null 2>&1; do sleep 0.5; done")


def down(one: Machine) -> None:
    """End the machine and forget what it changed."""
    if pid := one.pid:
        os.kill(pid, signal.SIGKILL)
        _until(lambda: one.pid is None, 30)
    shutil.rmtree(one.folder, ignore_errors=True)


def sync(one: Machine) -> list[str]:
    """Copy what changed since the last time; the names of what was copied or removed."""
    here = {name: _fingerprint(CHECKOUT / name) for name in machine_disk.checkout_files()}
    listed = _in(one, f"cat {_MANIFEST} 2>/dev/null || echo '{{}}'")
    there = json.loads(listed)
    changed = [name for name, print_ in here.items() if there.get(name) != print_]
    gone = [name for name in there if name not in here]
    if not changed and not gone:
        return []
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name in changed:
            tar.add(CHECKOUT / name, arcname=f"{INSIDE}/{name}", filter=_as_root)
        manifest = json.dumps(here).encode()
        entry = tarfile.TarInfo(_MANIFEST)
        entry.size = len(manifest)
        tar.addfile(entry, io.BytesIO(manifest))
    removal = f"cd {INSIDE} && rm -f -- {shlex.join(gone)}; " if gone else ""
    _in(one, f"mkdir -p {INSIDE}; {removal}tar -xzf - -C /", packed.getvalue())
    return changed + gone


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
        "ControlPath": f"/tmp/orchestrator-{hashlib.sha256(str(one.folder).encode()).hexdigest()[:12]}",  # noqa: S108
    }
    pairs = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    key = ["-i", str(one.folder / "key"), "-p", (one.folder / "port").read_text()]
    return ["ssh", *pairs, *key, *options, "root@127.0.0.1"]


def call(one: Machine, command: str) -> int:
    """Run a command in the machine's checkout with this terminal's output; its exit status."""
    return subprocess.run([*ssh(one), f"cd {INSIDE} 2>/dev/null; {command}"], check=False).returncode


def test(one: Machine, arguments: Sequence[str]) -> int:
    """Run pytest in the machine; its exit status."""
    ci = "CI=true " if os.environ.get("CI") else ""
    no_skips = "-p scripts.no_skips " if ci else ""
    return call(
        one,
        f"PIP_NO_INDEX=1 scripts/setup && {ci}ORCHESTRATOR_TEST_MACHINE=1 .venv/bin/python -m pytest {no_skips}{shlex.join(arguments)}",
    )


def _start(one: Machine, disk: Disk, *, net: bool) -> None:
    """From the booted copy where there is one that this qemu takes, or else by a boot."""
    if disk.booted.exists():
        _prepare(one, disk)
        shutil.copyfile(disk.booted, one.folder / "disk.qcow2")
        try:
            _launch(one, disk, net=net, snapshot=SNAPSHOT)
        except NotReady as reason:
            print(f"machines: the booted copy of {one.suite} is of no use, booting: {reason}", flush=True)
        else:
            return
    _boot(one, disk, net=net)


def _boot(one: Machine, disk: Disk, *, net: bool) -> None:
    _prepare(one, disk)
    layer = str(one.folder / "disk.qcow2")
    machine_disk.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk.path), layer)
    _launch(one, disk, net=net)


def _prepare(one: Machine, disk: Disk) -> None:
    down(one)
    one.folder.mkdir(parents=True)
    shutil.copy(disk.key, one.folder / "key")
    (one.folder / "key").chmod(0o600)
    (one.folder / "port").write_text(str(free_port()))


def _launch(one: Machine, disk: Disk, *, net: bool, snapshot: str = "") -> None:
    kvm = virtualises(Path("/proc/cpuinfo").read_text())
    port = int((one.folder / "port").read_text())
    machine_disk.run(*qemu(disk, one.folder, port, net=net, kvm=kvm, snapshot=snapshot))
    probe = [*ssh(one, "-o", "ConnectTimeout=30"), "true"]
    answered = _until(
        lambda: one.pid is None or subprocess.run(probe, check=False, capture_output=True).returncode == 0, PATIENCE
    )
    if not answered or one.pid is None:
        said = (one.folder / "serial").read_text(errors="replace")[-2000:].strip()
        down(one)
        raise NotReady(f"{one.name} does not come up; the end of what it said:\n{said or '(nothing)'}")


def _in(one: Machine, command: str, content: bytes = b"") -> str:
    """What a command prints in the machine. Raises NotReady."""
    done = subprocess.run([*ssh(one), command], check=False, input=content, capture_output=True)
    if done.returncode:
        raise NotReady(f"in {one.name} `{command[:200]}` failed:\n{done.stderr.decode(errors='replace')[-2000:].strip()}")
    return done.stdout.decode()


def _monitor(one: Machine, command: str, arguments: dict[str, str] | None = None) -> str:
    """Tell qemu; what it answers, empty when it did as told."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(one.folder / "qmp"))
        with channel.makefile("rw") as stream:
            stream.readline()
            for message in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}}):
                stream.write(json.dumps(message) + "\n")
                stream.flush()
                answer = _answer(stream)
    return str(answer.get("return") or answer.get("error") or "").strip().strip("{}")


def _answer(stream: io.TextIOBase) -> dict[str, object]:
    while line := stream.readline():
        message: dict[str, object] = json.loads(line)
        if "event" not in message:
            return message
    return {}


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


def _fingerprint(path: Path) -> str:
    mode = path.lstat().st_mode
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return f"{mode:o} {hashlib.sha256(content).hexdigest()}"


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _listing() -> str:
    names = sorted(path.name for path in HOME.glob("*") if path.is_dir())
    rows = [(name, Machine(name).pid) for name in names]
    return "\n".join(f"{name}  {f'runs as process {pid}' if pid else 'is down'}" for name, pid in rows) or "none"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="machines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    verbs.add_parser("build").add_argument("names", nargs="+")
    for verb in ("up", "sync", "down", "ssh", "test"):
        verbs.add_parser(verb).add_argument("name")
    verbs.choices["up"].add_argument("--net", action="store_true", help="with this host's network")
    for verb in ("ssh", "test"):
        verbs.choices[verb].add_argument("words", nargs="*")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; the exit status."""
    own = list(arguments)
    words = own[own.index("--") + 1 :] if "--" in own else []
    asked = _parser().parse_args(own[: own.index("--")] if "--" in own else own)
    try:
        return _do(asked, [*getattr(asked, "words", []), *words])
    except NotReady as reason:
        print(f"machines: {reason}", file=sys.stderr)
        return 1


def _do(asked: argparse.Namespace, words: list[str]) -> int:
    if asked.verb == "list":
        print(_listing())
        return 0
    if asked.verb == "build":
        for name in asked.names:
            build(machine(name))
        return 0
    one = machine(asked.name)
    if asked.verb == "down":
        down(one)
        return 0
    up(one, net=getattr(asked, "net", False))
    if asked.verb in {"sync", "test"}:
        changed = sync(one)
        print(f"machines: {one.name}: {len(changed)} files of the checkout are new or gone", flush=True)
    if asked.verb == "ssh":
        return call(one, words[0] if len(words) == 1 else shlex.join(words))
    return test(one, words) if asked.verb == "test" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
