"""PostgreSQL restarts in the middle of a command or a job: one clear line, nothing left open, and the next run does it all."""

from __future__ import annotations

import gc
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection

from tests.support.failing_database import Restart
from tests.support.feeding import Feeding
from tests.support.jobs import Jobs
from tests.support.waiting import stop, until

pytestmark = pytest.mark.postgres

DONE, ERRORS = 0, 10
COMMANDS = (
    # words; the table on which it waits when the connection is lost; how it ends when it is run again
    ("batch add new {records}", "batches_batchrecord", DONE),
    ("batch upload plc", "batches_batchrecord", DONE),
    ("batch upload plc", "batches_batchstep", DONE),
    ("batch objects plc", "batches_batch", DONE),
    ("batch show plc", "batches_batchstep", DONE),
    ("batch list", "batches_batch", DONE),
    ("batch export", "batches_batch", DONE),
    ("batch records {ids}", "batches_batchrecord", ERRORS),
    ("fnload {server} {store} --once", "loader_bucketobject", DONE),
    ("fnload {server} {store} --once", "fn4loadattempt", DONE),
    ("fnload {server} {store} --once", "fn4batchload", DONE),
    ("feed add other {server} {other}", "loader_feed", DONE),
    ("feed list", "loader_feed", DONE),
    ("feed show tb", "loader_bucketobject", DONE),
    ("feed test tb", "loader_server", DONE),
    ("feed reconcile tb", "loader_feed", ERRORS),
    ("feed retry tb", "loader_bucketobject", DONE),
    ("feed pause tb --reason x", "loader_feed", DONE),
    ("feed remove tb --yes", "loader_bucketobject", DONE),
    ("sample {ids}", "fn4loadattempt", ERRORS),
    ("fnprune --yes", "fn4loadattempt", DONE),
    ("fnstatus", "loader_feed", DONE),
    ("fnstatus --alarm", "fnloader_site_alarm", DONE),
)


@pytest.fixture
def words(feeding: Feeding, tmp_path: Path) -> dict[str, str]:
    """A feed with two files, a batch of three records, a list; what the commands name."""
    (tmp_path / "ids.txt").write_text("a\nb\nnobody\n")
    feeding.put_samples("a", "b")
    store = feeding.oci.url(feeding.bucket)
    records = feeding.add_feed_and_batch(tmp_path, records=3)
    return {
        "records": str(records),
        "ids": str(tmp_path / "ids.txt"),
        "server": feeding.fn4.url,
        "store": store,
        "other": f"{store}/below",
    }


@pytest.mark.parametrize(("command", "table", "again"), COMMANDS)
def test_a_command_says_so_and_can_be_run_again(
    feeding: Feeding, words: dict[str, str], command: str, table: str, again: int
) -> None:
    manage, restart, line = feeding.manage, Restart(feeding.manage), command.format(**words).split()
    process = restart.in_the_middle(table, lambda: manage.start(*line))
    time.sleep(0.3)
    restart.back()
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err, err
    if process.returncode not in (DONE, again):
        assert (process.returncode, err.count("\n")) == (1, 1), (out, err)
        assert "Database error" in err or "database writes" in out, out  # `feed test` finds it itself
    result = manage(*line)
    assert result.returncode == again, (out, err, result.stdout + result.stderr)
    if line[0] == "fnload":
        feeding.assert_every_sample_is_in_once()
    assert manage.rows("SELECT count(*) FROM fn4loadattempt WHERE outcome = 'open'") == [(0,)]
    assert "running" not in manage("batch", "list").stdout


def lose_the_connection() -> None:
    parameters = connection.get_connection_params()
    with psycopg.connect(**{name: parameters[name] for name in ("dbname", "user", "host", "port")}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])


@pytest.mark.filterwarnings("ignore:.*deleted while still open:ResourceWarning")
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_lost_as_a_list_ends_is_an_error_of_the_database() -> None:
    cursor = connection.chunked_cursor()
    cursor.execute("SELECT 1")
    lose_the_connection()
    with pytest.raises(OperationalError):
        cursor.close()
    connection.close()
    del cursor
    gc.collect()


JOBS = (
    ("loader.tasks.nudge_feeds", (), "loader_server"),
    ("loader.tasks.load_server", (1,), "loader_bucketobject"),
    ("loader.tasks.load_feed", (1,), "fn4loadattempt"),
    ("loader.tasks.reconcile_feeds", (), "loader_feed"),
    ("loader.tasks.reconcile_feed", (1,), "loader_finding"),
    ("loader.tasks.prune", (), "fn4loadattempt"),
    ("batches.tasks.nudge_batches", (), "batches_batch"),
    ("batches.tasks.count_batches", (), "batches_batch"),
    ("fnloader_site.tasks.alarms", (), "fnloader_site_alarm"),
)


@pytest.mark.parametrize(("job", "arguments", "table"), JOBS)
def test_the_cluster_goes_on_and_the_job_runs_again(
    feeding: Feeding, words: dict[str, str], job: str, arguments: tuple[int, ...], table: str
) -> None:
    assert words
    restart, jobs = Restart(feeding.manage), Jobs(feeding.manage)
    feeding.manage.environment |= {"REDIS_URL": "", "JOB_WORKERS": "1", "JOB_STRETCH": "2"}
    process = jobs.start()
    try:
        jobs.nudge("loader.tasks.count_samples")
        until(lambda: jobs.runs("loader.tasks.count_samples"), "the cluster works", process)

        def nudge() -> subprocess.Popen[str]:
            jobs.nudge(job, *arguments)
            return process

        restart.in_the_middle(table, nudge)
        time.sleep(0.3)
        restart.back()
        before = jobs.runs(job)
        jobs.nudge(job, *arguments)
        until(lambda: jobs.runs(job) > before, "it ran again", process)
        assert stop(process)[0] == 0
    finally:
        jobs.kill_all()
    feeding.load()
    feeding.assert_every_sample_is_in_once()
    assert feeding.attempts("1", "outcome = 'open'") == []
