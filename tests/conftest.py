"""Fixtures that several files share stand in modules of their own."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

pytest_plugins = [
    "tests.support.stores",
    "tests.support.site",
    "tests.support.feeding",
    "tests.support.feeds",
    "tests.support.passes",
    "tests.support.batch_site",
    "tests.support.browser",
    "tests.support.house",
    "tests.support.folder_batch",
    "tests.support.shelf",
    "tests.support.jobs",
    "tests.support.receiver",
    "tests.support.oracle",
]

MARKED_FOLDERS = {"crash", "browser"}
"""Each of their tests is marked with the folder's name: `pytest -m "not crash"`."""
_skipped: list[str] = []

# Property tests: some examples in the suite, the same ones each time; 10,000 new ones with `make properties`.
hypothesis_settings.register_profile(
    "properties",
    max_examples=10_000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
hypothesis_settings.register_profile(
    "suite", hypothesis_settings.get_profile("properties"), max_examples=30, derandomize=True
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of those folders; on SQLite, leaves out those that are marked `postgres`."""
    on_postgres = bool(os.environ.get("FNLOADER_TEST_POSTGRES"))
    if not on_postgres and (others := [item for item in items if item.get_closest_marker("postgres")]):
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)
    for item in items:
        for folder in MARKED_FOLDERS & set(item.path.relative_to(Path(__file__).parent).parts):
            item.add_marker(folder)


@pytest.fixture
def chance() -> random.Random:
    """Random numbers. Their seed is printed, so it stands with a failed test; SEED repeats it."""
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"To repeat these random numbers: SEED={seed}")
    return random.Random(seed)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is there (FNLOADER_NO_SKIPS, in CI), a test that was skipped has failed."""
    if _skipped and os.environ.get("FNLOADER_NO_SKIPS"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
