"""`serve`: the whole site in one command; processes that end are restarted, and all stop with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer
from tests.support.jobs import Jobs, children
from tests.support.site import Manage, empty_database
from tests.support.waiting import until


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ready_state(port: int, path: str = "/readyz") -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
            return str(response.read().decode().strip())
    except (urllib.error.URLError, OSError):
        return ""


Serve = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def serve(manage: Manage) -> Iterator[Serve]:
    started: list[subprocess.Popen[str]] = []
    manage.environment |= {"JOB_WORKERS": "1"}

    def start(port: int) -> subprocess.Popen[str]:
        process = manage.start("serve", "--bind", f"127.0.0.1:{port}")
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_pages_and_jobs_run_and_processes_that_end_are_restarted(manage: Manage, serve: Serve) -> None:
    port, jobs = free_port(), Jobs(manage)
    process = serve(port)
    until(lambda: ready_state(port) == "ready", "the site answers", process)
    jobs.nudge("loader.tasks.nudge_feeds")
    until(lambda: jobs.runs("loader.tasks.nudge_feeds"), "a job ran", process)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not ready_state(port), "the web server is gone", process)
    until(lambda: ready_state(port) == "ready", "the site answers again", process)
    before = jobs.runs("loader.tasks.nudge_feeds")
    jobs.nudge("loader.tasks.nudge_feeds")
    until(lambda: jobs.runs("loader.tasks.nudge_feeds") > before, "jobs run again", process)
    left = children(process.pid)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert f"http://127.0.0.1:{port}/" in out
    assert "createsuperuser" in out
    assert err.count("Restarting in ") == 2
    assert not ready_state(port)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in left)  # noqa: PTH110


def test_an_address_in_use_is_an_error(manage: Manage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = manage("serve", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (result.returncode, "Choose another address" in result.stderr) == (1, True)
    assert manage("serve", "--bind", "nonsense").returncode == 2


@pytest.mark.parametrize("words", [("serve", "--bind", "127.0.0.1:1"), ("qcluster",)], ids=["serve", "qcluster"])
@pytest.mark.parametrize("state", ["empty", "halfway"])
def test_on_a_database_that_is_not_migrated_it_ends_with_one_message(
    words: tuple[str, ...], state: str, tmp_path: Path, fork_server: ForkServer
) -> None:
    with empty_database(tmp_path) as (_, url):
        manage = Manage({"DATABASE_URL": url, "REDIS_URL": ""}, fork_server)
        if state == "halfway":
            assert manage("migrate", "-v0", "django_q").returncode == 0
            assert manage("migrate", "-v0", "auth").returncode == 0
        result = manage(*words)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "Database not migrated" in line
    assert "manage.py migrate" in line
