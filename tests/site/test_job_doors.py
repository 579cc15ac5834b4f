"""No way from a form, a schedule or the queue to a function that is not a job of the project."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.test import Client, override_settings
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Task
from django_q.signing import PickleSerializer
from django_q.tasks import async_task

from core.jobs import cluster as job_cluster
from core.jobs.registry import RefusedJobError
from fnloader_site.schedules import sync_schedules
from tests.settings import SECRET_KEY
from tests.support.jobs import REDIS, Jobs
from tests.support.site import Manage
from tests.support.waiting import until

LIST = "/admin/django_q/schedule/"
FAILURES = "/admin/django_q/failure/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="django_q", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def form(**changes: str) -> dict[str, str]:
    return {"name": "prune", "func": "os.system", "args": "'id'", "hook": "os.abort", "cron": "1 1 1 1 *", **changes}


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["staff", "superuser"])
def test_a_schedule_can_be_switched_and_nothing_else(who: str) -> None:
    client = staff("change_schedule", "add_schedule", "delete_schedule") if who == "staff" else superuser()
    sync_schedules()
    row = Schedule.objects.get(name="prune")
    before = Schedule.objects.filter(pk=row.pk).values().get()
    assert client.post(f"{LIST}{row.pk}/change/", form()).status_code == 403
    assert client.post(f"{LIST}add/", form()).status_code == 403
    assert client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    for action in ("run_now", "delete_selected"):
        client.post(LIST, {"action": action, "_selected_action": [row.pk], "post": "yes"})
    assert Schedule.objects.filter(pk=row.pk).values().get() == before
    assert not OrmQ.objects.exists()
    client.post(LIST, {"action": "switch_off", "_selected_action": [row.pk]})
    assert Schedule.objects.get(pk=row.pk).repeats == 0
    assert LogEntry.objects.get().change_message == "Switch off"


@pytest.mark.django_db
def test_who_may_only_view_schedules_switches_none() -> None:
    client = staff("view_schedule")
    sync_schedules()
    assert client.get(LIST).status_code == 200
    client.post(LIST, {"action": "switch_off", "_selected_action": [Schedule.objects.get(name="prune").pk]})
    assert Schedule.objects.get(name="prune").repeats == -1


@pytest.mark.django_db
@override_settings(SCHEDULES_EDITABLE=True)
def test_with_the_setting_a_superuser_changes_when_a_schedule_runs_but_never_what() -> None:
    boss, other = superuser(), staff("change_schedule")
    sync_schedules()
    row = Schedule.objects.get(name="prune")
    assert other.post(f"{LIST}{row.pk}/change/", form()).status_code == 403
    assert boss.get(f"{LIST}{row.pk}/change/").status_code == 200
    assert boss.post(f"{LIST}{row.pk}/change/", form(cron="nonsense")).status_code == 200
    assert boss.post(f"{LIST}{row.pk}/change/", form()).status_code == 302
    after = Schedule.objects.get(name="prune")
    assert (after.cron, after.func, after.args, after.hook) == ("1 1 1 1 *", "loader.tasks.prune", None, None)
    assert (after.next_run.month, after.next_run.day) == (1, 1)
    boss.post(LIST, {"action": "run_now", "_selected_action": [row.pk]})
    assert [job.func() for job in OrmQ.objects.all()] == ["loader.tasks.prune"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "job",
    [
        {"func": "os.system"},
        {"func": "loader.tasks.nothing"},
        {"func": "loader.tasks.async_task"},
        {"func": "loader.tasks.prune", "hook": "os.system"},
        {"func": "loader.tasks.prune", "chain": [("os.system", ("id",))]},
        {"func": print},
    ],
    ids=["shell", "unknown", "imported", "hook", "chain", "callable"],
)
def test_only_jobs_of_the_project_are_queued(job: dict[str, Any]) -> None:
    with pytest.raises(RefusedJobError):
        async_task(job.pop("func"), **job)
    with pytest.raises(RefusedJobError):
        async_task("os.system", "id", q_options={"sync": True})
    assert not OrmQ.objects.exists()


@pytest.mark.django_db(transaction=True)  # the scheduler closes connections
@pytest.mark.parametrize(
    "columns",
    [
        {"func": "os.system", "args": "'touch {marker}'"},
        {"func": "os.system", "kwargs": "{{'command': 'touch {marker}', 'q_options': {{'sync': True}}}}"},
        {"func": "loader.tasks.prune", "hook": "os.abort"},
        {"func": "loader.tasks.prune", "args": "("},
        {"func": "loader.tasks.prune", "schedule_type": "?"},
        {"func": ""},
    ],
    ids=["shell", "sync", "hook", "broken", "times", "empty"],
)
def test_a_schedule_in_the_table_that_is_no_job_runs_nothing_and_stops_no_other(
    columns: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = tmp_path / "marker"
    filled = {name: value.format(marker=marker) for name, value in columns.items()}
    Schedule.objects.all().delete()
    Schedule.objects.create(name="odd", **{"schedule_type": Schedule.HOURLY} | filled)
    Schedule.objects.create(name="ours", func="loader.tasks.prune", schedule_type=Schedule.HOURLY)
    with caplog.at_level("ERROR", "fnloader.jobs"):
        job_cluster.run_scheduler()
    assert [row.group() for row in OrmQ.objects.all()] == ["ours"]
    assert Schedule.objects.get(name="odd").repeats == 0
    assert "Schedule odd is switched off" in caplog.text
    assert not marker.exists()
    assert superuser().get(LIST).status_code == 200


class Pickled:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return (__import__("os").system, (self.command,))


def packages(queue: str, marker: Path) -> list[bytes]:
    """What somebody who can write into the queue puts there: of our key, of another one, of none."""
    touch = f"touch {marker}"
    job = {"id": "1", "name": "n", "func": "os.system", "args": (touch,), "kwargs": {}, "started": timezone.now()}
    ours, others = SECRET_KEY, "x" * 50
    return [
        *(
            signing.dumps(content, key=key, salt=queue, serializer=PickleSerializer).encode()
            for content, key in ((job, ours), (job, others), (Pickled(touch), others))
        ),
        pickle.dumps(Pickled(touch)),
        b"\xff\xfe\x00:\xff:\xff",
        b"",
    ]


def test_a_cluster_runs_nothing_else_whatever_stands_in_the_queue(manage: Manage, broker: str, tmp_path: Path) -> None:
    marker, queue = tmp_path / "marker", manage.environment["JOB_QUEUE"]
    manage.environment |= {"JOB_WORKERS": "1", "SECRET_KEY": SECRET_KEY}
    jobs = Jobs(manage)
    put = packages(queue, marker)
    if broker == "redis":
        with redis.from_url(REDIS) as client:
            client.rpush(f"django_q:{queue}:q", *put)
    else:
        put = [package for package in put if b"\x00" not in package]
        for package in put:
            manage.rows(
                "INSERT INTO django_q_ormq (key, payload, lock) VALUES (%s, %s, %s)",
                queue,
                package.decode("latin-1"),
                "2020-01-01 00:00:00",
            )
    jobs.nudge("loader.tasks.prune")
    process = jobs.start()
    try:
        until(lambda: jobs.runs("loader.tasks.prune"), "the job behind them runs", process)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert err.count("Refused and removed from the queue") == len(put), err
    assert "Traceback" not in err
    assert "'os.system' is not a job of this project" in err
    assert "Restarting" not in err
    assert not marker.exists()


@pytest.mark.django_db
def test_failed_jobs_are_queued_again_by_permission_and_with_a_line_in_the_audit_trail() -> None:
    now = timezone.now()
    for number, func in enumerate(("loader.tasks.load_feed", "os.system")):
        Task.objects.create(
            id=str(number), name=func, func=func, args=(7,), started=now, stopped=now, success=False, result="broken"
        )
    act = {"action": "queue_again", "_selected_action": ["0", "1"]}
    client = staff("view_failure", "view_success")
    assert "broken" in client.get(FAILURES).content.decode()
    client.post(FAILURES, act)
    client.post(FAILURES, act | {"action": "resubmit_task"})
    client.post("/admin/django_q/success/", act | {"action": "resubmit_task"})
    assert not OrmQ.objects.exists()
    assert not LogEntry.objects.exists()
    user = User.objects.get(username="staff")
    user.user_permissions.add(Permission.objects.get(codename="change_failure"))
    page = client.post(FAILURES, act, follow=True).content.decode()
    assert [(row.func(), row.args()) for row in OrmQ.objects.all()] == [("loader.tasks.load_feed", (7,))]
    assert "os.system&#x27; is not a job of this project" in page
    entries = LogEntry.objects.filter(change_message="Queue again", user=user)
    assert {entry.object_id for entry in entries} == {"0", "1"}
    assert client.get(f"{FAILURES}0/change/").status_code == 200
    assert client.post(f"{FAILURES}0/change/", {"func": "x"}).status_code == 403
    assert Failure.objects.count() == 2
