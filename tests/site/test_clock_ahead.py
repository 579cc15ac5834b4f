"""After a clock that was ahead, schedules, queued jobs and the report of silent jobs go by the right time again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from core.jobs import cluster as job_cluster
from core.jobs.scheduling import bring_back_schedules
from core.models import JobRun
from fnloader_site.monitoring.concerns import job_concerns
from fnloader_site.schedules import SCHEDULES, sync_schedules

pytestmark = pytest.mark.django_db(transaction=True)  # the scheduler closes connections
JOB = "loader.tasks.count_samples"


@pytest.fixture
def schedules() -> Iterator[None]:
    sync_schedules()
    Schedule.objects.create(name="once", func=JOB, next_run=timezone.now() + timedelta(days=400))
    Schedule.objects.create(name="weekly", func=JOB, schedule_type=Schedule.WEEKLY)
    yield
    Schedule.objects.all().delete()


@pytest.mark.usefixtures("schedules")
@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=1), timedelta(days=300)], ids=["h", "d", "y"])
def test_schedules_are_brought_back_and_named(ahead: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    job_cluster.run_scheduler()
    before = dict(Schedule.objects.values_list("name", "next_run"))
    with time_machine.travel(timezone.now() + ahead, tick=False):
        job_cluster.run_scheduler()
    late = {row.name for row in Schedule.objects.all() if row.next_run > before[row.name] + timedelta(minutes=2)}
    OrmQ.objects.all().delete()
    caplog.clear()
    with caplog.at_level("WARNING", "fnloader.jobs"):
        job_cluster.run_scheduler()
    told = {name for name in before if f"the next run of schedule {name} was" in caplog.text}
    assert late <= told <= {planned.name for planned in SCHEDULES} | {"weekly"}
    assert "load feeds" in told
    for name, then in before.items():
        assert Schedule.objects.get(name=name).next_run <= then + timedelta(minutes=2), name
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        job_cluster.run_scheduler()
    assert "load feeds" in {row.group() for row in OrmQ.objects.all()}


def test_jobs_that_were_queued_or_taken_meanwhile_are_free_again(caplog: pytest.LogCaptureFixture) -> None:
    async_task(JOB)
    bring_back_schedules()
    assert caplog.text == ""
    OrmQ.objects.update(lock=timezone.now() + timedelta(days=1))
    bring_back_schedules()
    assert OrmQ.objects.get().lock <= timezone.now()
    assert "1 queued jobs" in caplog.text


@pytest.mark.usefixtures("schedules")
def test_jobs_are_silent_though_their_last_run_stands_in_the_future() -> None:
    now = timezone.now()
    JobRun.objects.create(name="a", begun_at=now + timedelta(days=1), finished_at=now + timedelta(days=1))
    assert [concern.kind for concern in job_concerns()] == ["jobs_silent"]
    JobRun.objects.create(name="b", begun_at=now)
    assert list(job_concerns()) == []
