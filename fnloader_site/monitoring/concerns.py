"""All concerns: of servers and feeds, of batches, and of the site's own jobs and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Max, Q
from django.utils import timezone

from batches.concerns import batch_concerns
from core.alarms.channels import all_channels
from core.concerns import Concern, Level, PageLink
from core.models import AlarmChannel, JobRun
from loader.concerns import loader_concerns

JOBS_SILENT_AFTER = timedelta(minutes=5)
"""Jobs run every half minute; after so long without one they do not run at all."""


def all_concerns(db: str = "default") -> list[Concern]:
    """What `fnstatus` reports. Batches, jobs and alarms are in the default database only."""
    of_loader = loader_concerns(db).concerns
    if db != "default":
        return of_loader
    return [*job_concerns(), *alarm_concerns(), *of_loader, *batch_concerns()]


def job_concerns() -> Iterator[Concern]:
    """Jobs that ran once and run no longer, and jobs that fail."""
    from django_q.models import Schedule

    # Where no cluster has ever run, people work with the commands only. Times in the future are of a clock that was ahead.
    now = timezone.now()
    latest = now + JOBS_SILENT_AFTER
    times = JobRun.objects.aggregate(
        begun=Max("begun_at", filter=Q(begun_at__lte=latest)),
        finished=Max("finished_at", filter=Q(finished_at__lte=latest)),
    )
    last: datetime | None = max((time for time in times.values() if time), default=None)
    silent = now - last > JOBS_SILENT_AFTER if last else JobRun.objects.exclude(begun_at=None).exists()
    if silent and Schedule.objects.exclude(repeats=0).exists():
        yield Concern(
            Level.ERROR,
            "Background jobs not running",
            "No job has started or ended since then. Scheduled feeds are not loaded, and batches are not checked.",
            "Start them, or switch off their schedules in the admin:",
            command="python manage.py qcluster",
            since=last,
            kind="jobs_silent",
        )
    failing = JobRun.objects.filter(failed_at__lte=latest)
    for run in failing.filter(Q(finished_at=None) | Q(failed_at__gt=F("finished_at"))).order_by("name"):
        yield Concern(
            Level.WARNING,
            f"Background job {run.name} fails",
            run.error,
            "Its schedule will retry it. The log has the traceback.",
            since=run.failed_at,
            link=PageLink(
                "Open in the admin",
                "admin:fnloader_site_jobrun_changelist",
                "fnloader_site.view_jobrun",
                staff_only=True,
            ),
            kind="job_failing",
            about=run.name,
        )


def alarm_concerns() -> Iterator[Concern]:
    """Channels for alarms that fail, of those that are set up."""
    names = [channel.name for channel in all_channels()]
    for channel in AlarmChannel.objects.filter(failing_since__isnull=False, name__in=names).order_by("name"):
        yield Concern(
            Level.ERROR,
            f"Alarms by {channel} fail",
            channel.error,
            "Unsent alarms are kept and retried. Check the receiver and the settings in docs/alarms.md, then:",
            command="python manage.py alarm test",
            since=channel.failing_since,
            kind="alarm_undelivered",
            about=channel.name,
        )
