"""`serve`: the whole site in one command; processes that end are restarted, and all stop with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.support.jobs import Jobs, children
from tests.support.site import Manage
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
