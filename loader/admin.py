"""Feeds can be changed, except for the addresses of their server and store, and added; other rows are read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from core.audit import log_action
from core.modeladmin import AnyAdmin, ReadOnlyAdmin
from loader.feed_form import NewFeedForm
from loader.feeds import manage, rejections
from loader.feeds.file_names import last_names, preview_names, update_sample_ids
from loader.models import BatchLoad, BucketObject, Feed, Finding, LoadAttempt, Server, TwinComparison, TwinFinding


@admin.register(Server)
class ServerAdmin(ReadOnlyAdmin):
    list_display = ("identity", "number_in_server", "circuit_open_since", "lease_host", "lease_pid", "lease_heartbeat")
    search_fields = ("identity",)


@admin.register(Feed)
class FeedAdmin(AnyAdmin):
    list_display = ("name", "server", "store_url", "interval", "paused_at", "checked_at")
    list_select_related = ("server",)
    list_filter = (("paused_at", admin.EmptyFieldListFilter), "scheduled")
    search_fields = ("name", "store_url")
    readonly_fields = (
        "server",
        "store_url",
        "created_at",
        "checked_at",
        "paused_at",
        "pause_reason",
        "running_since",
        "running_interval",
        "last_names",
        "left_out_by_ending",
    )
    actions = ("pause", "resume")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not `add_feed`: a feed makes the site connect to whatever its addresses name."""
        return request.user.has_perm("loader.set_addresses")

    def get_form(self, request: HttpRequest, obj: Feed | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401, FBT001, FBT002 - Django's
        return super().get_form(request, obj, change, **(kwargs if obj else {"form": NewFeedForm} | kwargs))

    def get_readonly_fields(self, request: HttpRequest, obj: Feed | None = None) -> Any:  # noqa: ANN401 - Django's
        return super().get_readonly_fields(request, obj) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Feed | None = None) -> bool:
        return False

    @admin.display(description="Last names and their sample ids, by each rule")
    def last_names(self, feed: Feed) -> str:
        rows = (
            (preview.name, preview.up_to_first_dot, preview.without_ending)
            for preview in preview_names(feed, last_names(feed, "default"))
        )
        template = "{}: up to the first dot <b>{}</b>, without the ending <b>{}</b>"
        return format_html_join(mark_safe("<br>"), template, rows) or "no file yet"

    @admin.display(description="Left out in the last scan")
    def left_out_by_ending(self, feed: Feed) -> str:
        rows = ((kind["ending"], f"{kind['number']:,}", kind["example"]) for kind in feed.left_out or ())
        return format_html_join(mark_safe("<br>"), "<b>{}</b>: {} such as {}", rows) or "nothing"

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:  # noqa: ANN401, FBT001
        if not change:
            obj.pk = form.add().pk
            return
        super().save_model(request, obj, form, change)
        if {"sample_id_rule", "endings"} & set(form.changed_data):
            update_sample_ids(obj, "default")

    @admin.action(description="Pause selected feeds", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        log_action(request, queryset, "Pause")
        changed = manage.pause_feeds(queryset, f"paused by {request.user.get_username()}")
        messages.success(request, f"{changed} feeds paused. Inserts in flight are finished.")

    @admin.action(description="Resume selected feeds", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        log_action(request, queryset, "Resume")
        messages.success(request, f"{manage.resume_feeds(queryset)} feeds resumed.")


@admin.register(BucketObject)
class BucketObjectAdmin(ReadOnlyAdmin):
    list_display = ("name", "feed", "state", "result", "created", "tries", "not_before", "reason")
    list_select_related = ("feed",)
    list_filter = ("state", "result", "feed")
    search_fields = ("seqid__exact", "guid__exact")
    search_help_text = "Complete sample id."
    actions = ("retry", "acknowledge")

    @admin.action(description="Acknowledge selected files", permissions=["retry"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[BucketObject]) -> None:
        log_action(request, queryset, "Acknowledge")
        messages.success(request, f"{rejections.acknowledge_files(queryset)} files acknowledged.")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("loader.change_bucketobject")

    @admin.action(description="Retry selected files", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[BucketObject]) -> None:
        log_action(request, queryset, "Retry")
        changed = rejections.retry_files(queryset)
        messages.success(request, f"{changed} files queued for the next scan.")


@admin.register(BatchLoad)
class BatchLoadAdmin(ReadOnlyAdmin):
    list_display = (
        "bl_int_id",
        "check_time",
        "findneighbour_server_url",
        "host_name",
        "batch_size",
        "number_in_server",
        "finished",
    )
    list_filter = ("check_time", "feed")
    list_select_related = ("feed",)


@admin.register(LoadAttempt)
class LoadAttemptAdmin(ReadOnlyAdmin):
    list_display = (
        "gp_int_id",
        "seqid",
        "findneighbour_server_url",
        "parse_status",
        "insert_start_time",
        "insert_status_code",
        "outcome",
        "completed",
    )
    list_filter = ("outcome", "feed", "bucket_read_start_time")
    list_select_related = ("feed",)
    search_fields = ("seqid__exact", "fn4id__exact")
    search_help_text = "Complete sample id."


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ["guid", "kind", "note", "name", "feed"]
    list_filter = ["kind", "feed"]
    list_select_related = ["feed"]
    search_fields = ["guid__exact"]
    ordering = ["feed", "kind", "pk"]


@admin.register(TwinComparison)
class TwinComparisonAdmin(ReadOnlyAdmin):
    list_display = ["first", "second", "at", "only_first", "only_second", "queued", "validity_differs"]
    list_select_related = ["first", "second"]
    ordering = ["-at", "-pk"]


@admin.register(TwinFinding)
class TwinFindingAdmin(ReadOnlyAdmin):
    list_display = ["guid", "kind", "note", "comparison"]
    list_filter = ["kind"]
    list_select_related = ["comparison__first", "comparison__second"]
    search_fields = ["guid__exact"]
    ordering = ["comparison", "kind", "pk"]
