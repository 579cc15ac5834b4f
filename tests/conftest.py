"""Fixtures that several files share stand in modules of their own."""

from __future__ import annotations

import os

import pytest

pytest_plugins = [
    "tests.support.stores",
    "tests.support.site",
    "tests.support.feeding",
    "tests.support.feeds",
    "tests.support.batch_site",
    "tests.support.browser",
    "tests.support.house",
    "tests.support.folder_batch",
    "tests.support.shelf",
    "tests.support.jobs",
    "tests.support.receiver",
    "tests.support.oracle",
]

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is there (FNLOADER_NO_SKIPS, in CI), a test that was skipped has failed."""
    if _skipped and os.environ.get("FNLOADER_NO_SKIPS"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
