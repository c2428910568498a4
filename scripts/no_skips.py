"""A pytest plug-in for CI: a run in which a test was skipped is a failed run."""

import pytest

_SKIPPED = "skipped"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Skips at collection count too; expected failures do not."""
    if session.config.pluginmanager.getplugin("terminalreporter").stats.get(_SKIPPED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a run without a failure fails."""
    if terminalreporter.stats.get(_SKIPPED):
        terminalreporter.write_line("CI does not allow a test to be skipped", red=True)
