"""What the scheduler may start: before each of its turns, schedules that it must not run or that stand still are put right."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from core.due import CLOCK_TOLERANCE
from core.jobs.registry import refusal

log = logging.getLogger("fnloader.jobs")


def switch_off_refused_schedules() -> None:
    """Switches off schedules of functions that are not jobs, or with arguments, a hook or invalid times: one would stop all.

    Nobody can make one in the admin: they are of older versions, or were written into the database.
    """
    for schedule in Schedule.objects.exclude(repeats=0):
        why = refusal(schedule.func, hook=schedule.hook, arguments=schedule.args or schedule.kwargs)
        try:
            schedule.calculate_next_run(timezone.now())
        except Exception as error:  # noqa: BLE001 - the columns can hold anything
            why = why or f"its times are invalid ({error})"
        if why and Schedule.objects.filter(pk=schedule.pk, repeats=schedule.repeats).update(repeats=0):
            log.error(
                "Schedule %s is switched off: %s. `manage.py migrate` restores those of fnloader; for one of your own see "
                "docs/jobs.md, What may run.",
                schedule.name or schedule.pk,
                why,
            )


def bring_back_schedules() -> None:
    """Brings schedules and queued jobs back from the future, where a clock that was ahead has left them.

    A schedule's next run is never later than the first one after now.
    """
    now = timezone.now()
    for schedule in Schedule.objects.exclude(repeats=0).exclude(schedule_type=Schedule.ONCE):
        first = schedule.calculate_next_run(now)
        if schedule.next_run and schedule.next_run > first + CLOCK_TOLERANCE:
            rows = Schedule.objects.filter(pk=schedule.pk, next_run=schedule.next_run)
            if rows.update(next_run=first):
                log.warning(
                    "The clock was ahead: the next run of schedule %s was %s, and is %s now. Check the clocks of all hosts.",
                    schedule.name or schedule.pk,
                    schedule.next_run.isoformat(),
                    first.isoformat(),
                )
    if alias := settings.Q_CLUSTER.get("orm"):
        latest = now + timedelta(seconds=settings.Q_CLUSTER["retry"]) + CLOCK_TOLERANCE
        if number := OrmQ.objects.using(alias).filter(lock__gt=latest).update(lock=now):
            log.warning("The clock was ahead: %d queued jobs were locked beyond %s, and are free now.", number, latest)
