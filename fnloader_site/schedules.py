"""All schedules of the site: `migrate` creates and updates them, the admin shows them and switches them off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import router

HALF_MINUTE = "* * * * * */30"
"""The interval of the scheduler itself."""
MINUTE = "* * * * *"


@dataclass(frozen=True)
class PlannedSchedule:
    """One schedule."""

    name: str
    func: str
    cron: str
    """In TIME_ZONE; a sixth field is seconds."""


SCHEDULES = (
    PlannedSchedule("load feeds", "loader.tasks.nudge_feeds", HALF_MINUTE),
    PlannedSchedule("check batches", "batches.tasks.nudge_batches", HALF_MINUTE),
    PlannedSchedule("upload batches", "batches.tasks.upload_queued", HALF_MINUTE),
    PlannedSchedule("alarms", "fnloader_site.tasks.alarms", MINUTE),
    PlannedSchedule("count samples", "loader.tasks.count_samples", MINUTE),
    PlannedSchedule("compare feeds", "loader.tasks.reconcile_feeds", "15 2 * * *"),
    PlannedSchedule("prune", "loader.tasks.prune", "15 3 * * *"),
)
JOB_MODULES = ("loader.tasks.", "batches.tasks.", "fnloader_site.tasks.")
"""Schedules of these that are not in the list are from an older version and are deleted; those that people add stay."""


def sync_schedules(using: str = "default", **_: Any) -> None:  # noqa: ANN401 - what post_migrate sends
    """Creates missing schedules, updates those that differ, and deletes obsolete ones. A switched-off schedule stays off."""
    from django_q.models import Schedule

    if using != router.db_for_write(Schedule):
        return
    for planned in SCHEDULES:
        columns = {"func": planned.func, "cron": planned.cron, "schedule_type": Schedule.CRON, "cluster": None}
        rows = Schedule.objects.using(using).filter(name=planned.name)
        first = rows.order_by("pk").first()
        if first is None:
            Schedule(name=planned.name, repeats=-1, **columns).save(using=using)
            continue
        rows.exclude(pk=first.pk).delete()
        if any(getattr(first, name) != value for name, value in columns.items()):
            rows.update(**columns, next_run=Schedule(**columns).calculate_next_run())
        rows.filter(repeats__gt=0).update(repeats=-1)
    others = Schedule.objects.using(using).exclude(name__in=[planned.name for planned in SCHEDULES])
    for prefix in JOB_MODULES:
        others.filter(func__startswith=prefix).exclude(schedule_type=Schedule.ONCE).delete()
