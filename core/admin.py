"""The admin of the audit trail, of schedules, the queue and its results, of background jobs, and of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from django_q.models import Failure, OrmQ, Schedule, Success

from core.audit import log_action
from core.exceptions import OperationRefused
from core.jobs.queueing import queue_job
from core.jobs.registry import RefusedJobError, refusal
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


# Importing django-q2's admin registers its own pages, which ours replace.
for _model in (Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(Schedule)
class ScheduleAdmin(AnyAdmin):
    """Schedules are switched on and off. SCHEDULES_EDITABLE lets superusers change when one runs; what it runs, nobody may."""

    list_display = ("name", "on", "func", "cron", "next_run", "last_result")
    list_display_links = None
    fields = ("name", "func", "cron", "next_run")
    readonly_fields = ("name", "func", "next_run")
    actions = ("switch_on", "switch_off", "run_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return bool(settings.SCHEDULES_EDITABLE and request.user.is_active and request.user.is_superuser)

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """For the actions: the permission `django_q.change_schedule`."""
        return super().has_change_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return self.has_switch_permission(request) or super().has_view_permission(request, obj)

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:  # noqa: ANN401 - Django's
        return ("name",) if self.has_change_permission(request) else None

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ANN401, FBT001 - Django's
        obj.next_run = obj.calculate_next_run()
        super().save_model(request, obj, form, change)

    @admin.display(boolean=True)
    def on(self, schedule: Any) -> bool:  # noqa: ANN401 - a row
        return bool(schedule.repeats)

    @admin.display(description="last result")
    def last_result(self, schedule: Any) -> str:  # noqa: ANN401 - a row
        if text := refusal(schedule.func, hook=schedule.hook, arguments=schedule.args or schedule.kwargs):
            return f"refused: {text}"
        run = JobRun.objects.filter(name=schedule.func).first()
        if not run:
            return "has not run yet"
        if run.failed_at and (not run.finished_at or run.failed_at > run.finished_at):
            return f"failed: {run.error}"
        return run.said or "running"

    @admin.action(description="Switch on selected schedules", permissions=["switch"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Switch on")
        messages.success(request, f"{switch_schedules(queryset, on=True)} schedules switched on.")

    @admin.action(description="Switch off selected schedules (stays off after updates)", permissions=["switch"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Switch off")
        messages.success(request, f"{switch_schedules(queryset, on=False)} schedules switched off.")

    @admin.action(description="Run selected schedules now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        log_action(request, queryset, "Run now")
        queue_again(request, [(schedule.func, (), {}) for schedule in queryset])


class EndedJobAdmin(ReadOnlyAdmin):
    """Jobs that django-q2 keeps as ended. Who may change them may queue them again; nobody changes a row."""

    list_display: tuple[str, ...] = ("name", "func", "started", "stopped")
    fields = ("name", "func", "arguments", "started", "stopped", "text")
    search_fields = ("func__exact",)
    search_help_text = "The exact name of a job."
    actions = ("queue_again",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return self.has_queue_permission(request) or super().has_view_permission(request, obj)

    def has_queue_permission(self, request: HttpRequest) -> bool:
        """For the action: the permission to change these rows."""
        return AnyAdmin.has_change_permission(self, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return AnyAdmin.has_delete_permission(self, request, obj)

    @admin.display
    def arguments(self, task: Any) -> str:  # noqa: ANN401 - a row
        return str(task.args)

    @admin.display(description="result")
    def text(self, task: Any) -> str:  # noqa: ANN401 - a row
        return str(task.result)

    @admin.action(description="Queue selected jobs again", permissions=["queue"])
    def queue_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        tasks = list(queryset)
        log_action(request, tasks, "Queue again")
        queue_again(request, [(task.func, task.args or (), task.kwargs or {}) for task in tasks])


@admin.register(Success)
class SuccessAdmin(EndedJobAdmin):
    pass


@admin.register(Failure)
class FailureAdmin(EndedJobAdmin):
    list_display = ("name", "func", "started", "stopped", "error")

    @admin.display
    def error(self, task: Any) -> str:  # noqa: ANN401 - a row
        return str(task.result).partition(" : Traceback")[0][:200]


@admin.register(OrmQ)
class QueueAdmin(ReadOnlyAdmin):
    list_display = ("id", "key", "name", "func", "lock")
    fields = ("key", "lock", "name", "func", "args", "kwargs")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return AnyAdmin.has_delete_permission(self, request, obj)


def queue_again(request: HttpRequest, jobs: list[tuple[str, Sequence[Any], dict[str, Any]]]) -> None:
    """Queues jobs: function, arguments and keyword arguments of each; names those that are refused."""
    queued = 0
    for function, arguments, keywords in jobs:
        try:
            queue_job(function, *arguments, **keywords)
            queued += 1
        except RefusedJobError as error:
            messages.error(request, f"Not queued: {error}.")
        except OperationRefused as error:
            messages.error(request, str(error))
    if queued:
        messages.success(request, f"{queued} jobs queued.")


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
