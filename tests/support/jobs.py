"""`cluster`: `qcluster` as a process, with the database and with Redis as its broker, and jobs queued as by the scheduler."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis

from tests.support.feeding import Feeding
from tests.support.site import Manage

REDIS = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/9"
"""Each test site has its own queue there."""


def redis_available() -> bool:
    """Whether the server responds."""
    try:
        with redis.from_url(REDIS, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@dataclass
class Jobs:
    """A site with background jobs."""

    manage: Manage
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Starts a cluster."""
        process = self.manage.start("qcluster", **environment)
        self.processes.append(process)
        return process

    def nudge(self, function: str = "loader.tasks.nudge_feeds", *arguments: object, times: int = 1) -> None:
        """Queues a job, as the schedule or a button does."""
        words = ", ".join(map(repr, (function, *arguments)))
        code = f"from django_q.tasks import async_task; [async_task({words}) for _ in range({times})]"
        result = self.manage("shell", "-v0", "-c", code)
        assert result.returncode == 0, result.stderr

    def runs(self, function: str) -> int:
        """The number of successful runs of a job."""
        rows = self.manage.rows("SELECT runs FROM fnloader_site_jobrun WHERE name = %s", function)
        return int(rows[0][0]) if rows else 0

    def workers(self, process: subprocess.Popen[str]) -> list[int]:
        """Process ids of the guard's children: workers, monitor and pusher."""
        return [pid for guard in children(process.pid) for pid in children(guard)]

    def kill_all(self) -> None:
        """Kills every cluster that was started here, and waits for the end of all their children."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    output = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True, check=False)
    return [int(word) for word in output.stdout.split()]


@pytest.fixture(params=["database", "redis"])
def broker(request: pytest.FixtureRequest, manage: Manage) -> Iterator[str]:
    """Each broker in turn; the rest of a Redis queue is deleted afterwards."""
    if request.param == "database":
        manage.environment["REDIS_URL"] = ""
        yield "database"
        return
    if not redis_available():
        pytest.skip(f"no Redis at {REDIS}")
    manage.environment["REDIS_URL"] = REDIS
    yield "redis"
    with redis.from_url(REDIS) as client:
        for key in client.scan_iter(f"django_q:{manage.environment['JOB_QUEUE']}:*"):
            client.delete(key)


@pytest.fixture
def cluster(feeding: Feeding, broker: str) -> Iterator[Jobs]:
    """Jobs for `feeding`: its feed is added and scheduled; no cluster runs yet."""
    added = feeding.manage("feed", "add", "tb", feeding.fn4.url, feeding.oci.url(feeding.bucket), "--scheduled")
    assert added.returncode == 0, added.stderr
    feeding.manage.environment |= {"JOB_WORKERS": "2", "JOB_STRETCH": "2"}
    jobs = Jobs(feeding.manage)
    yield jobs
    jobs.kill_all()
