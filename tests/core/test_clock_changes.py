"""django-q2's scheduler in the nights in which clocks change: it ends each time, and every schedule goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone
from django_q import scheduler as django_q_scheduler
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule

from core.jobs.cluster import compare_schedules_in_utc

NIGHTS = [
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 10, 25, 1, tzinfo=UTC)),
]
"""Zones with a change of an hour, of half an hour and without one; the moment of the change."""
JOB = "loader.tasks.count_samples"
STEP = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def in_utc() -> Iterator[None]:
    before = django_q_scheduler.localtime
    compare_schedules_in_utc()
    yield
    django_q_scheduler.localtime = before


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler would close the connection in whose transaction the test runs."""
    monkeypatch.setattr(django_q_scheduler, "close_old_django_connections", lambda: None)


@pytest.mark.django_db
@pytest.mark.timeout(30)
@pytest.mark.parametrize(("zone", "change"), NIGHTS)
def test_every_schedule_goes_on(zone: str, change: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "TIME_ZONE", zone)
    local = change.astimezone(ZoneInfo(zone))
    Schedule.objects.all().delete()
    start = change - timedelta(hours=3)
    plans = {"often": "* * * * * */30", "nightly": "15 2 * * *", "at_the_change": f"{local:%M %H} * * *"}
    broker = get_broker()
    with time_machine.travel(start, tick=False) as clock:
        for name, cron in plans.items():
            Schedule.objects.create(name=name, func=JOB, schedule_type=Schedule.CRON, cron=cron)
        Schedule.objects.create(name="daily", func=JOB, schedule_type=Schedule.DAILY, next_run=start)
        while timezone.now() < change + timedelta(hours=27):
            clock.shift(STEP)
            OrmQ.objects.all().delete()
            django_q_scheduler.scheduler(broker)
            assert OrmQ.objects.exists(), "the frequent one is queued each time"
            for schedule in Schedule.objects.all():
                ahead = schedule.next_run - timezone.now()
                assert timedelta(0) <= ahead <= timedelta(hours=25), schedule.name
    nightly = Schedule.objects.get(name="nightly").next_run.astimezone(ZoneInfo(zone))
    assert f"{nightly:%H:%M}" == "02:15"
