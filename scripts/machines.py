"""Real Debian machines for the tests, with systemd, cgroup v2 and a Docker engine of their own, under qemu.

    python -m scripts.machines build NAME...           make the disk and a booted copy: some minutes, then kept
    python -m scripts.machines up NAME... [--net]      have them running: seconds once built
    python -m scripts.machines sync NAME               copy what changed of this checkout to /root/orchestrator
    python -m scripts.machines ssh NAME -- COMMAND...  run a command there as root; its exit status is ours
    python -m scripts.machines run NAME -- COMMAND...  up, sync, then the command in the checkout
    python -m scripts.machines test NAME -- ARGS...    up, sync, then pytest with the arguments
    python -m scripts.machines fresh NAME -- TARGET... the README's commands on a bare machine: make demo, make test
    python -m scripts.machines down [NAME...]          end them; all that they changed is gone
    python -m scripts.machines list                    those of this checkout

NAME is a suite: ``bookworm`` (Debian 12, Docker 20.10), ``trixie`` (13, 26.1), ``forky`` (testing, 28.5). ``trixie-bare`` has
no engine, no venv module and a network; ``trixie-cgroupfs`` has the engine's other cgroup driver. ``host`` is this host, where
it has cgroup v2 and the driver systemd itself. A machine belongs to its checkout and stays up until ``down``. It has two cores,
3 GiB and, but for ``--net``, no network; where the processor cannot virtualise, all takes 8 to 15 times as long as outside.
Making a disk needs root on Debian.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence

from scripts.machine_checkout import in_checkout, joined, pytest, sync
from scripts.machine_disk import CHECKOUT
from scripts.machine_fresh import fresh
from scripts.machine_vm import HOME, Machine, build, call, down, machine, ssh, up
from scripts.packages import NotReady

HOST = "host"


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; the exit status."""
    own = list(arguments)
    split = own.index("--") if "--" in own else len(own)
    asked = _parser().parse_args(own[:split])
    try:
        return _do(asked, own[split + 1 :])
    except NotReady as reason:
        print(f"machines: {reason}", file=sys.stderr)
        return 1


def _do(asked: argparse.Namespace, words: list[str]) -> int:
    names: list[str] = asked.names
    if asked.verb in {"run", "test"} and names == [HOST]:
        return _here(_command(asked.verb, words))
    known = _known() if asked.verb in {"down", "list"} and not names else [machine(name) for name in names]
    if asked.verb == "list":
        print("\n".join(f"{one.name}: {f'process {one.pid}' if one.pid else 'down'}" for one in known) or "none")
    status = 0
    for one in known:
        status = max(status, _each(one, asked, words))
    return status


def _each(one: Machine, asked: argparse.Namespace, words: list[str]) -> int:
    match asked.verb:
        case "build":
            build(one)
        case "up":
            up(one, net=asked.net)
        case "down":
            down(one)
        case "ssh":
            up(one)
            return call(one, joined(words)) if words else subprocess.run(ssh(one), check=False).returncode
        case "fresh":
            return max(status for _, status in fresh(one, words))
        case "sync" | "run" | "test":
            up(one)
            print(f"machines: {one.name} runs, {len(sync(one))} of its files were not as they are here", flush=True)
            return call(one, in_checkout(_command(asked.verb, words))) if asked.verb != "sync" else 0
    return 0


def _command(verb: str, words: Sequence[str]) -> str:
    return pytest(shlex.join(words)) if verb == "test" else joined(words)


def _here(command: str) -> int:
    """On this host itself, where it is of the kind that the machines are."""
    asked = [str(CHECKOUT / ".venv/bin/python"), "-m", "scripts.machine_facts"]
    facts = json.loads(subprocess.run(asked, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if (facts.get("cgroup"), facts.get("driver")) != ("v2", "systemd"):
        raise NotReady("this host has no engine with cgroup v2 and the driver systemd; name a machine instead")
    return subprocess.run(["sh", "-c", command], cwd=CHECKOUT, check=False).returncode


def _known() -> list[Machine]:
    return [Machine(path.name) for path in sorted(HOME.glob("*")) if path.is_dir()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="machines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("build", "up", "sync", "ssh", "run", "test", "fresh", "down", "list"):
        several = "*" if verb in {"down", "list"} else "+" if verb in {"build", "up"} else 1
        verbs.add_parser(verb).add_argument("names", metavar="NAME", nargs=several)
    verbs.choices["up"].add_argument("--net", action="store_true", help="with this host's network")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
