"""Schedules are one list: `migrate` creates and updates them, people switch them off, and wrong settings are checks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from croniter import croniter
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from core.admin import switch_schedules
from core.models import JobRun
from fnloader_site.checks import jobs as check_jobs
from fnloader_site.schedules import SCHEDULES, sync_schedules

pytestmark = pytest.mark.django_db


def test_each_planned_schedule_is_made_by_migrate_and_names_a_job() -> None:
    sync_schedules()
    for planned in SCHEDULES:
        row = Schedule.objects.get(name=planned.name)
        assert (row.func, row.cron, row.repeats) == (planned.func, planned.cron, -1)
        assert row.next_run
        assert croniter.is_valid(planned.cron)
        assert callable(import_string(planned.func))


def test_migrate_restores_what_was_changed_and_removes_obsolete_schedules() -> None:
    sync_schedules()
    Schedule.objects.filter(name="prune").update(cron="0 0 1 1 *", func="loader.tasks.nothing")
    Schedule.objects.filter(name="load feeds").delete()
    Schedule.objects.create(name="of an older version", func="loader.tasks.gone", schedule_type=Schedule.DAILY)
    Schedule.objects.create(name="somebody's own", func="somebody.else", schedule_type=Schedule.DAILY)
    call_command("migrate", verbosity=0)
    assert Schedule.objects.get(name="prune").func == "loader.tasks.prune"
    names = set(Schedule.objects.values_list("name", flat=True))
    assert names == {planned.name for planned in SCHEDULES} | {"somebody's own"}
    call_command("migrate", verbosity=0)
    assert Schedule.objects.count() == len(SCHEDULES) + 1


@pytest.mark.django_db(transaction=True)  # the scheduler closes connections
def test_what_a_person_switched_off_stays_off_and_does_not_run(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    sync_schedules()
    keys = list(Schedule.objects.filter(name="load feeds").values_list("pk", flat=True))
    where = "/admin/django_q/schedule/"
    client.post(where, {"action": "switch_off", "_selected_action": keys})
    call_command("migrate", verbosity=0)
    assert Schedule.objects.get(name="load feeds").repeats == 0
    Schedule.objects.update(next_run=timezone.now() - timedelta(hours=1))
    Schedule.objects.exclude(name="load feeds").update(next_run=timezone.now() + timedelta(hours=1))
    scheduler()
    assert OrmQ.objects.count() == 0
    client.post(where, {"action": "switch_on", "_selected_action": keys})
    Schedule.objects.filter(name="load feeds").update(next_run=timezone.now() - timedelta(hours=9))
    scheduler()
    scheduler()
    assert [package.func() for package in OrmQ.objects.all()] == ["loader.tasks.nudge_feeds"], (
        "missed runs are not caught up"
    )


def test_the_admin_shows_schedules_and_how_their_jobs_ran(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    sync_schedules()
    JobRun.objects.create(name="loader.tasks.prune", said="deleted: 7 load attempts", finished_at=timezone.now())
    page = client.get("/admin/django_q/schedule/").content.decode()
    assert "deleted: 7 load attempts" in page
    assert "has not run yet" in page
    assert "deleted: 7" in client.get("/admin/fnloader_site/jobrun/").content.decode()


def test_switching_is_for_those_who_may_change_schedules(client: Client) -> None:
    client.force_login(User.objects.create_user("looker", is_staff=True))
    assert client.get("/admin/django_q/schedule/").status_code == 403
    assert switch_schedules(Schedule.objects.none(), on=True) == 0


@pytest.mark.parametrize(
    ("cluster", "id_"),
    [
        ({"timeout": 100}, "fnloader.E_JOB_TIMEOUT"),
        ({"retry": 1800}, "fnloader.E_JOB_RETRY"),
        ({"catch_up": True}, "fnloader.E_JOB_CATCH_UP"),
    ],
)
def test_settings_with_which_jobs_go_wrong_are_checks(cluster: dict[str, object], id_: str) -> None:
    assert check_jobs() == []
    with override_settings(Q_CLUSTER=settings.Q_CLUSTER | cluster):
        messages = check_jobs()
    assert [(message.id, bool(message.hint)) for message in messages] == [(id_, True)]


def test_a_job_that_fails_is_remembered_and_raised() -> None:
    from core.jobs.decorator import job

    @job
    def broken(number: int) -> str:
        return str(1 // number)

    assert broken(1) == "1"
    with pytest.raises(ZeroDivisionError):
        broken(0)
    row = JobRun.objects.get(name__endswith="broken")
    assert (row.runs, row.failures, row.said) == (1, 1, "1")
    assert row.error.startswith("ZeroDivisionError")
    assert row.failed_at
