"""All schedules of the site, declared once: `migrate` makes and mends them, the admin shows them and switches them off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import router

HALF_MINUTE = "* * * * * */30"
"""The scheduler's own tick: nothing comes more often."""
MINUTE = "* * * * *"


@dataclass(frozen=True)
class Planned:
    """One schedule."""

    name: str
    func: str
    cron: str
    """In TIME_ZONE; a sixth field is seconds."""


SCHEDULES = (
    Planned("load feeds", "loader.tasks.nudge_feeds", HALF_MINUTE),
    Planned("check batches", "batches.tasks.nudge_batches", HALF_MINUTE),
    Planned("alarms", "fnloader_site.tasks.alarms", MINUTE),
    Planned("count samples", "loader.tasks.count_samples", MINUTE),
    Planned("compare feeds", "loader.tasks.reconcile_feeds", "15 2 * * *"),
    Planned("prune", "loader.tasks.prune", "15 3 * * *"),
)
OURS = ("loader.tasks.", "batches.tasks.", "fnloader_site.tasks.")
"""A schedule of these that is not in the list is of an older version, and goes; what people add themselves stays."""


def sync_schedules(using: str = "default", **_: Any) -> None:  # noqa: ANN401 - what post_migrate sends
    """Makes what is missing, mends what differs, and removes what is no more. What is switched off stays off."""
    from django_q.models import Schedule

    if using != router.db_for_write(Schedule):
        return
    for planned in SCHEDULES:
        wanted = {"func": planned.func, "cron": planned.cron, "schedule_type": Schedule.CRON, "cluster": None}
        rows = Schedule.objects.using(using).filter(name=planned.name)
        first = rows.order_by("pk").first()
        if first is None:
            Schedule(name=planned.name, repeats=-1, **wanted).save(using=using)
            continue
        rows.exclude(pk=first.pk).delete()
        if any(getattr(first, name) != value for name, value in wanted.items()):
            rows.update(**wanted, next_run=Schedule(**wanted).calculate_next_run())
        rows.filter(repeats__gt=0).update(repeats=-1)
    ours = Schedule.objects.using(using).exclude(name__in=[planned.name for planned in SCHEDULES])
    for prefix in OURS:
        ours.filter(func__startswith=prefix).exclude(schedule_type=Schedule.ONCE).delete()
