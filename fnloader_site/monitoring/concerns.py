"""Everything that should not be: of servers and feeds, of batches, and of the site's own jobs and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Max, Q
from django.utils import timezone

from batches import concerns as of_batches
from core.concerns import Concern, Level, PageLink
from core.models import AlarmChannel, JobRun
from loader import concerns as of_loader

JOBS_SILENT_AFTER = timedelta(minutes=5)
"""Jobs come every half minute; nothing for so long, and they do not run."""


def all_concerns(db: str = "default") -> list[Concern]:
    """What `fnstatus` says. Batches, jobs and alarms are in the default database only."""
    found = of_loader.loader_concerns(db).concerns
    if db == "default":
        found = [*job_concerns(), *alarm_concerns(), *found, *of_batches.batch_concerns()]
    return found


def job_concerns() -> Iterator[Concern]:
    """Jobs that once ran and run no more, and jobs that fail."""
    from django_q.models import Schedule

    # Where no cluster ever ran, somebody works with the commands only.
    signs = JobRun.objects.aggregate(begun=Max("begun_at"), finished=Max("finished_at"))
    last: datetime | None = max((at for at in signs.values() if at), default=None)
    if last and timezone.now() - last > JOBS_SILENT_AFTER and Schedule.objects.exclude(repeats=0).exists():
        yield Concern(
            Level.BAD,
            "The background jobs do not run",
            "No job has begun or ended since. Scheduled feeds are not loaded, and batches not checked.",
            "Start them, or switch their schedules off in the admin if they are not wanted:",
            command="python manage.py qcluster",
            since=last,
            kind="jobs_silent",
        )
    failing = JobRun.objects.filter(failed_at__isnull=False)
    for run in failing.filter(Q(finished_at=None) | Q(failed_at__gt=F("finished_at"))).order_by("name"):
        yield Concern(
            Level.WARN,
            f"The background job {run.name} fails",
            run.error,
            "It is tried again by its schedule. The log has the traceback.",
            since=run.failed_at,
            link=PageLink(
                "Show it in the admin",
                "admin:fnloader_site_jobrun_changelist",
                "fnloader_site.view_jobrun",
                staff_only=True,
            ),
            kind="job_failing",
            about=run.name,
        )


def alarm_concerns() -> Iterator[Concern]:
    """Ways out for alarms that fail."""
    for channel in AlarmChannel.objects.filter(failing_since__isnull=False).order_by("name"):
        yield Concern(
            Level.BAD,
            f"Alarms can't be sent by {channel}",
            channel.error,
            "They are kept and tried again. Look at the receiver, and at the settings in docs/alarms.md.",
            since=channel.failing_since,
            kind="alarm_undelivered",
            about=channel.name,
        )
