"""The unit of systemd that runs the worker: what it promises holds of the worker that it starts."""

import re
from configparser import RawConfigParser
from pathlib import Path

import pytest

from orchestrator.cli.ending import MISUSED
from orchestrator.cli.serve import serve_command
from orchestrator.cli.worker import HANDED_OVER, worker_command
from orchestrator.server import serving
from orchestrator.settings import settings as settings_module
from orchestrator.settings.settings import Settings, options
from orchestrator.settings.settings import variable as variable_of
from orchestrator.task.units import parse_duration

ROOT = Path(__file__).parents[3]
INPUT = 10.0
"""Seconds that a hand-over may wait for a program to take its input."""


@pytest.fixture(scope="module")
def unit() -> RawConfigParser:
    """The file, in which no name is given twice."""
    return parsed("orchestrator.service")


@pytest.fixture(scope="module")
def api() -> RawConfigParser:
    """The same for the HTTP API."""
    return parsed("orchestrator-serve.service")


def parsed(name: str) -> RawConfigParser:
    """A unit."""
    parser = RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(ROOT / "deploy" / name, encoding="utf-8")
    return parser


def seconds(span: str) -> float:
    """A span of time as systemd writes it."""
    return parse_duration(span.replace("min", "m"))


def drain(unit: RawConfigParser) -> float:
    """For how long the worker waits for what runs."""
    _, command, *options = unit["Service"]["ExecStart"].split()
    assert command == "worker"
    return parse_duration(worker_command.make_context("worker", options).params["drain_timeout"])


def test_a_worker_that_is_told_to_stop_has_the_time_that_it_needs(unit: RawConfigParser) -> None:
    """It is told by SIGTERM, alone, and killed only after the drain and the wait for a program's input."""
    service = unit["Service"]
    assert service["KillSignal"] == "SIGTERM"
    assert service["KillMode"] == "mixed"
    assert drain(unit) + INPUT < seconds(service["TimeoutStopSec"])


def test_its_drain_is_not_for_the_file_of_settings_to_change(unit: RawConfigParser) -> None:
    """There it could be longer than the time before it is killed; a flag wins."""
    assert "--drain-timeout" in unit["Service"]["ExecStart"]
    assert drain(unit) < Settings().drain_timeout


def test_exit_codes_mean_what_the_worker_means_by_them(unit: RawConfigParser) -> None:
    """A hand-over is no failure, a wrong setting is not tried again, and anything else is, without an end."""
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    assert service["SuccessExitStatus"] == str(HANDED_OVER)
    assert service["RestartPreventExitStatus"] == str(MISUSED)
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_a_worker_that_hangs_is_started_again_and_one_that_waits_is_not(unit: RawConfigParser) -> None:
    """It tells of itself, servers may be away at the start, and the watchdog allows more than one look at its loop."""
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["TimeoutStartSec"]) == ("notify", "main", "infinity")
    assert seconds(service["WatchdogSec"]) > 60


def test_the_spool_is_in_the_folder_that_the_service_may_write_to(
    unit: RawConfigParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is read-only to it."""
    service = unit["Service"]
    monkeypatch.setattr(settings_module.os, "geteuid", lambda: 0)
    assert "User" not in service
    folder = Path("/var/lib") / service["StateDirectory"]
    assert Settings().spool_dir.is_relative_to(folder)
    assert service["WorkingDirectory"] == str(folder)
    assert (service["StateDirectoryMode"], service["ProtectSystem"]) == ("0700", "strict")


def test_nothing_keeps_it_from_the_engine_the_groups_and_the_configuration(unit: RawConfigParser) -> None:
    """The engine's socket and the bus are sockets of Unix; a restart of the engine leaves the worker alone."""
    service = unit["Service"]
    assert service["ProtectControlGroups"] == "no"
    assert service["ProtectHome"] == "read-only"
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(service["RestrictAddressFamilies"].split())
    assert service["CapabilityBoundingSet"].split() == ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]
    assert not {"PrivateNetwork", "IPAddressDeny", "ProtectProc", "InaccessiblePaths", "PrivateUsers"} & set(service)
    assert "docker.service" in unit["Unit"]["Wants"].split()
    assert "docker.service" in unit["Unit"]["After"].split()
    assert not {"Requires", "BindsTo", "PartOf"} & set(unit["Unit"])


def test_the_page_installs_what_the_unit_starts(unit: RawConfigParser) -> None:
    """Program and file of settings, by the same paths."""
    page = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"(?ms)^## Run the worker under systemd$(.*?)^## ", page)
    program = Path(unit["Service"]["ExecStart"].split()[0])
    for named in (program.parents[1], unit["Service"]["EnvironmentFile"], "deploy/orchestrator.service"):
        assert str(named) in section


def test_the_api_gets_its_tokens_from_systemd_and_may_write_nothing(api: RawConfigParser) -> None:
    """What it starts is the command `serve`; a wrong setting is not tried again, and it has time for its last answers."""
    service = api["Service"]
    env, variable, *command = service["ExecStart"].split()
    assert env == "/usr/bin/env"
    setting, _, path = variable.partition("=")
    folder, _, credential = path.partition("/")
    assert setting in {variable_of(option) for option in options()}
    assert (folder, credential) == ("${CREDENTIALS_DIRECTORY}", service["LoadCredential"].partition(":")[0])
    assert command[1:] == ["--no-env-file", "serve"]
    assert serve_command.name == "serve"
    assert service["RestartPreventExitStatus"] == str(MISUSED)
    assert seconds(service["TimeoutStopSec"]) > serving._GRACE
    assert (service["DynamicUser"], service["CapabilityBoundingSet"]) == ("yes", "")
    assert not {"StateDirectory", "ReadWritePaths"} & set(service)


def test_the_page_installs_what_the_unit_of_the_api_starts(api: RawConfigParser) -> None:
    """Program, file of settings and file of tokens, by the same paths."""
    page = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"(?ms)^## Under systemd$(.*?)^## ", page)
    service = api["Service"]
    program = Path(service["ExecStart"].split()[2])
    tokens = service["LoadCredential"].partition(":")[2]
    for named in (program.parents[1], service["EnvironmentFile"], tokens, "deploy/orchestrator-serve.service"):
        assert str(named) in section
