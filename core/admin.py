"""The admin of the audit trail, of schedules and background jobs, and of alarms."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from django_q.models import Schedule
from django_q.tasks import async_task

from core.audit import log_action
from core.modeladmin import AnyAdmin, ReadOnlyAdmin
from core.models import Alarm, AlarmChannel, JobRun


@admin.register(LogEntry)
class AuditTrailAdmin(ReadOnlyAdmin):
    """Who did what, in the admin and by the buttons of our pages."""

    list_display = ("action_time", "user", "content_type", "object_repr", "change_message")
    list_select_related = ("user", "content_type")
    list_filter = ("action_time", "user")
    search_fields = ("object_repr__exact",)
    search_help_text = "The exact name of a feed, a file or a batch."


# Importing django-q2's admin registers its own pages, one of which ours replaces.
if admin.site.is_registered(Schedule):
    admin.site.unregister(Schedule)


@admin.register(Schedule)
class ScheduleAdmin(AnyAdmin):
    list_display = ("name", "on", "func", "cron", "next_run", "last_result")
    list_display_links = None
    actions = ("switch_on", "switch_off", "run_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return False

    @admin.display(boolean=True)
    def on(self, schedule: Any) -> bool:  # noqa: ANN401 - a row
        return bool(schedule.repeats)

    @admin.display(description="last result")
    def last_result(self, schedule: Any) -> str:  # noqa: ANN401 - a row
        run = JobRun.objects.filter(name=schedule.func).first()
        if not run:
            return "has not run yet"
        if run.failed_at and (not run.finished_at or run.failed_at > run.finished_at):
            return f"failed: {run.error}"
        return run.said or "running"

    @admin.action(description="Switch on selected schedules", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Switch on")
        messages.success(request, f"{switch_schedules(queryset, on=True)} schedules switched on.")

    @admin.action(description="Switch off selected schedules (stays off after updates)", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Switch off")
        messages.success(request, f"{switch_schedules(queryset, on=False)} schedules switched off.")

    @admin.action(description="Run selected schedules now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Run now")
        names = [str(async_task(schedule.func)) for schedule in queryset]
        messages.success(request, f"{len(names)} jobs queued.")


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    list_display = ("name", "begun_at", "finished_at", "said", "failed_at", "error", "host", "runs", "failures")


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ("what", "kind", "about", "level", "since", "raised_at", "recovered_at", "times")
    list_filter = (("recovered_at", admin.EmptyFieldListFilter), "kind", "level")


@admin.register(AlarmChannel)
class AlarmChannelAdmin(ReadOnlyAdmin):
    list_display = ("name", "sent_at", "failing_since", "error", "tries", "next_try_at")


def switch_schedules(schedules: Any, *, on: bool) -> int:  # noqa: ANN401 - a queryset of django_q's, which has no types
    """Switches them on or off; `migrate` leaves them off. Returns their number."""
    from django.utils import timezone

    return int(schedules.update(repeats=-1 if on else 0, **({"next_run": timezone.now()} if on else {})))
