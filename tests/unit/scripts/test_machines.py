"""The pure parts of the machines for tests: names, how qemu is called, what is copied; none is booted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import machine_disk, machines
from scripts.machine_checkout import difference, fingerprint, in_checkout, joined
from scripts.machine_checkout import pytest as pytest_command
from scripts.machine_disk import Disk
from scripts.machine_vm import Machine, free_port, machine, qemu, virtualises, wait_until
from scripts.packages import NotReady

DISK = Disk(Path("/cache/trixie-0/1.ext4"))
HERE = Path("/here")
PLAIN = "processor : 0\nflags : fpu sse2 hypervisor\nvmx flags : none\n"


def _called(*, net: bool = False, kvm: bool = False, snapshot: str = "") -> list[str]:
    return qemu(DISK, HERE, 2222, net=net, kvm=kvm, snapshot=snapshot)


def test_an_emulated_machine_has_its_processors_in_one_thread() -> None:
    """A kernel that patches its own code has panicked with one thread each."""
    called = _called()
    assert called[called.index("-accel") + 1] == "tcg,thread=single"
    assert "kvm" not in called


def test_a_machine_that_the_processor_runs_is_not_emulated() -> None:
    """And gets the processor as it is."""
    called = _called(kvm=True)
    assert (called[called.index("-accel") + 1], called[called.index("-cpu") + 1]) == ("kvm", "host")


@pytest.mark.parametrize(("net", "limits"), [(False, "restrict=on,"), (True, "")], ids=["without", "with"])
def test_only_ssh_on_loopback_reaches_a_machine(net: bool, limits: str) -> None:  # noqa: FBT001
    """It reaches nothing itself unless it is asked for with a network."""
    called = _called(net=net)
    assert called[called.index("-nic") + 1] == f"user,model=virtio-net-pci,ipv6=off,{limits}hostfwd=tcp:127.0.0.1:2222-:22"


def test_a_machine_begins_where_the_snapshot_was_taken_or_boots() -> None:
    """The kernel is named in both, as a snapshot holds no files."""
    assert _called(snapshot="booted")[-2:] == ["-loadvm", "booted"]
    assert "-loadvm" not in _called()
    assert str(DISK.kernel) in _called(snapshot="booted")


@pytest.mark.parametrize(
    ("cpuinfo", "device", "does"),
    [
        (PLAIN.replace("sse2", "vmx"), "/dev/null", True),
        (PLAIN.replace("sse2", "svm"), "/dev/null", True),
        (PLAIN, "/dev/null", False),
        (PLAIN.replace("sse2", "vmx"), "/nowhere", False),
    ],
    ids=["intel", "amd", "an emulated device", "no device"],
)
def test_a_processor_virtualises_only_where_it_says_so_and_there_is_a_device(cpuinfo: str, device: str, does: bool) -> None:  # noqa: FBT001
    """A device alone may be an emulation, slower than qemu's own."""
    assert virtualises(cpuinfo, device) is does


def test_a_port_is_chosen_that_nobody_listens_on() -> None:
    """One above those that only root may have."""
    assert 1024 <= free_port() < 65536


def test_a_name_says_the_suite_and_what_is_different() -> None:
    """Bare and with the other driver are the two kinds."""
    assert (machine("forky").suite, machine("forky").bare) == ("forky", False)
    assert (machine("trixie-cgroupfs").suite, machine("trixie-cgroupfs").kind) == ("trixie", "cgroupfs")
    assert machine("bookworm-bare").bare


@pytest.mark.parametrize("name", ["sarge", "trixie-small", "", "../trixie"])
def test_an_unknown_name_is_refused_with_those_that_are_known(name: str) -> None:
    """In a sentence, before anything is made."""
    with pytest.raises(NotReady, match="bookworm, trixie, forky"):
        machine(name)


def test_a_process_id_that_another_program_has_by_now_is_no_machine(tmp_path: Path) -> None:
    """A restart of the host leaves the file behind."""
    one = Machine("trixie", tmp_path)
    one.folder.mkdir()
    assert one.pid is None
    (one.folder / "pid").write_text(str(os.getpid()))
    assert one.pid is None


def test_a_machine_is_its_process_while_that_runs(tmp_path: Path) -> None:
    """Known by its folder, which is on its command line."""
    one = Machine("trixie", tmp_path)
    one.folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()", str(one.folder)], stdin=subprocess.PIPE) as process:
        (one.folder / "pid").write_text(f"{process.pid}\n")
        assert wait_until(lambda: one.pid == process.pid, 20)
        process.kill()
    assert one.pid is None


def test_only_what_changed_is_copied_and_what_went_is_removed() -> None:
    """By content and mode."""
    assert difference({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"}) == (["b", "c"], ["d"])


def test_a_file_has_changed_with_its_content_its_mode_or_its_target(tmp_path: Path) -> None:
    """A link is what it points to, also where nothing is there."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("a")
    seen = [fingerprint(file)]
    file.write_text("b")
    seen.append(fingerprint(file))
    file.chmod(0o755)
    seen.append(fingerprint(file))
    for target in ("nowhere", "elsewhere"):
        link.symlink_to(target)
        seen.append(fingerprint(link))
        link.unlink()
    assert len(set(seen)) == len(seen)


def test_a_command_runs_in_the_checkout_without_a_network_for_pip() -> None:
    """As the shell there reads it."""
    command = in_checkout("echo $X", X="a b")
    assert command.startswith("cd /root/orchestrator && export ")
    assert "PIP_NO_INDEX=1" in command
    assert command.endswith("'X=a b' && echo $X")


@pytest.mark.parametrize(("ci", "plug_in"), [("true", "-p scripts.no_skips "), ("", "")], ids=["CI", "by hand"])
def test_no_test_may_be_skipped_in_ci(monkeypatch: pytest.MonkeyPatch, ci: str, plug_in: str) -> None:
    """On a machine as on the host."""
    monkeypatch.setenv("CI", ci)
    assert pytest_command("tests -x") == f"scripts/setup && .venv/bin/python -m pytest {plug_in}tests -x"


def test_one_word_is_a_command_for_a_shell_and_several_are_its_arguments() -> None:
    """As ssh would have it, but that several keep their spaces."""
    assert joined(["docker info | head"]) == "docker info | head"
    assert joined(["ls", "a b"]) == "ls 'a b'"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with locks, in place of this one."""
    for name in ("requirements/dev.txt", "scripts/setup", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(machine_disk, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_change_of_the_lock_makes_another_disk_of_the_same_packages(checkout: Path) -> None:
    """And any other change in the checkout does not."""
    before = machine_disk.disk("trixie", bare=False)
    (checkout / "README.md").write_text("other")
    assert machine_disk.disk("trixie", bare=False) == before
    (checkout / "requirements/dev.txt").write_text("other")
    after = machine_disk.disk("trixie", bare=False)
    assert after != before
    assert after.path.parent == before.path.parent


def test_a_bare_disk_is_the_same_for_every_lock(checkout: Path) -> None:
    """And another one than that with an engine."""
    before = machine_disk.disk("trixie", bare=True)
    (checkout / "requirements/dev.txt").write_text("other")
    assert machine_disk.disk("trixie", bare=True) == before
    assert machine_disk.disk("trixie", bare=False).path.parent != before.path.parent


def test_what_goes_wrong_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit status is 1."""
    assert machines.main(["test", "sarge", "--", "-x"]) == 1
    assert capsys.readouterr().err.startswith("machines: no machine is named sarge")
