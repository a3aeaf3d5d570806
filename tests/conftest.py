"""Rules for all tests: what was not run is listed by name, and fails the run where everything must run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

REQUIRE_ALL = os.environ.get("INVENTORY_REQUIRE_ALL") == "1"

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("INVENTORY_HYPOTHESIS", "steady"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    not_run = list(_not_run(terminalreporter))
    for report in not_run:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"not run: {report.nodeid} ({str(reason).removeprefix('Skipped: ')})")
    if REQUIRE_ALL and not_run:
        terminalreporter.write_line(f"failed: every test must run here, and {len(not_run)} did not")


def _not_run(reporter: pytest.TerminalReporter) -> Iterator[pytest.TestReport]:
    yield from (report for report in reporter.stats.get("skipped", []) if not hasattr(report, "wasxfail"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if REQUIRE_ALL and exitstatus == pytest.ExitCode.OK and reporter and any(_not_run(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
