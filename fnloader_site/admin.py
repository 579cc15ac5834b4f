"""What the admins of both apps share, and the background jobs: their schedules, and how each ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from django_q.models import Schedule
from django_q.tasks import async_task
from unfold import admin as theme

from fnloader_site.acts import note
from fnloader_site.lists import BoundedPaginator
from fnloader_site.models import Alarm, AlarmChannel, JobRun
from fnloader_site.schedules import switch

# The theme's classes are Django's with more; for the checker they are Django's.
if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = theme.ModelAdmin
    AnyInline = theme.TabularInline


class ReadOnlyAdmin(AnyAdmin):
    """Rows that machines write: nobody adds, changes or deletes them by hand. Big tables are not counted whole."""

    show_full_result_count = False
    list_per_page = 50
    paginator = BoundedPaginator
    list_max_show_all = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        """Nobody may."""
        return False


@admin.register(LogEntry)
class TrailAdmin(ReadOnlyAdmin):
    """Who did what: what was changed in the admin, and what was done by the buttons of our pages."""

    list_display = ("action_time", "user", "content_type", "object_repr", "change_message")
    list_select_related = ("user", "content_type")
    list_filter = ("action_time", "user")
    search_fields = ("object_repr__exact",)
    search_help_text = "The whole name of a feed, a file or a batch."


# django-q2 registers its own pages when its module is loaded: first that, then ours in place of one of them.
if admin.site.is_registered(Schedule):
    admin.site.unregister(Schedule)


@admin.register(Schedule)
class ScheduleAdmin(AnyAdmin):
    list_display = ("name", "on", "func", "cron", "next_run", "ran")
    list_display_links = None
    actions = ("switch_on", "switch_off", "run_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - a row
        return False

    @admin.display(boolean=True)
    def on(self, schedule: Any) -> bool:  # noqa: ANN401 - a row
        return bool(schedule.repeats)

    @admin.display(description="how it ran")
    def ran(self, schedule: Any) -> str:  # noqa: ANN401 - a row
        run = JobRun.objects.filter(name=schedule.func).first()
        if not run:
            return "never yet"
        if run.failed_at and (not run.finished_at or run.failed_at > run.finished_at):
            return f"failed: {run.error}"
        return run.said or "running"

    @admin.action(description="Switch selected schedules on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        note(request, queryset, "Switch on")
        messages.success(request, f"{switch(queryset, on=True)} schedules are on.")

    @admin.action(description="Switch selected schedules off, also for later updates", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        note(request, queryset, "Switch off")
        messages.success(request, f"{switch(queryset, on=False)} schedules are off.")

    @admin.action(description="Run selected schedules now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        note(request, queryset, "Run now")
        names = [str(async_task(schedule.func)) for schedule in queryset]
        messages.success(request, f"{len(names)} jobs are queued.")


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
