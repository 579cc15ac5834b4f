"""Redis, as the queue of jobs, is killed and comes back empty: the cluster goes on, and a button says what is wrong."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.feeding import Feeding
from tests.support.jobs import Jobs
from tests.support.waiting import stop, until

BUTTON = """
from django.contrib.auth.models import User
from django.test import Client
user, _ = User.objects.get_or_create(username="a", is_superuser=True, is_staff=True)
client = Client(HTTP_HOST="localhost")
client.force_login(user)
for address, form in (("/feeds/tb/load/", {}), ("/feeds/tb/reconcile/", {}), ("/batches/plc/check/", {})):
    page = client.post(address, form, follow=True)
    print(page.status_code, "Check REDIS_URL" in page.content.decode(), "queued." in page.content.decode())
"""


@dataclass
class Redis:
    """A server of its own, which keeps nothing on disk."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Starts it, empty."""
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        words = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        until(self._is_there, "Redis answers")

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _is_there(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def redis(feeding: Feeding, tmp_path: Path) -> Iterator[Redis]:
    """Running; the broker of the site."""
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server")
    server = Redis(tmp_path)
    server.start()
    feeding.manage.environment["REDIS_URL"] = f"redis://127.0.0.1:{server.port}/0"
    yield server
    server.kill()


def test_a_cluster_goes_on_with_an_empty_queue(feeding: Feeding, redis: Redis) -> None:
    manage, jobs = feeding.manage, Jobs(feeding.manage)
    store = feeding.oci.url(feeding.bucket)
    assert manage("feed", "add", "tb", feeding.fn4.url, store, "--scheduled").returncode == 0
    manage.environment |= {"JOB_WORKERS": "1", "JOB_STRETCH": "1"}
    feeding.put_samples(*(f"s{number}" for number in range(20)))
    feeding.fn4.insert_seconds(0.2)
    process = jobs.start()
    try:
        jobs.nudge()
        until(lambda: len(feeding.fn4.guids()) > 2, "some are in", process)
        redis.kill()
        time.sleep(3)
        redis.start()
        # As the schedule does after at most 30 s; the mark of the job that was lost counts for 90 s.
        manage.rows("UPDATE loader_server SET job_queued_at = NULL RETURNING 1")
        manage.rows("UPDATE loader_feed SET next_look_at = NULL RETURNING 1")
        jobs.nudge()
        until(lambda: len(feeding.fn4.guids()) == 20, "all are in", process)
        status, said = stop(process)
        assert status == 0, said
    finally:
        jobs.kill_all()
    feeding.assert_every_sample_is_in_once()
    assert feeding.attempts("1", "outcome = 'open'") == []


def test_a_button_says_that_nothing_was_queued(feeding: Feeding, redis: Redis, tmp_path: Path) -> None:
    manage = feeding.manage
    feeding.add_feed_and_batch(tmp_path)
    assert manage("batch", "upload", "plc").returncode == 0
    assert manage("shell", "-v0", "-c", BUTTON).stdout.split("\n") == ["200 False True"] * 3 + [""]
    redis.kill()
    result = manage("shell", "-v0", "-c", BUTTON)
    assert result.stdout.split("\n") == ["200 True False"] * 3 + [""], result.stderr
