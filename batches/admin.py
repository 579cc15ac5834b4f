"""The admin: read-only, except for the notes of a batch."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import F, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from batches.choices import COLOURS
from batches.lifecycle import archive
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck, IngestCount
from batches.reports.ingest_report import CANDIDATE_PREFIX
from batches.upload_queue.entries import queue_batch
from core.audit import log_action
from core.exceptions import OperationRefused
from core.formatting import format_duration, pluralize
from core.jobs.queueing import queue_job
from core.modeladmin import AnyAdmin, AnyInline, ReadOnlyAdmin

MAX_COUNTS = 100
"""A check that takes days has thousands of counts; its page shows the last ones."""


def coloured_label(value: str | None, label: str) -> SafeString | str:
    """The label of a state, with a dot in its colour."""
    if not value:
        return "-"
    return format_html('<span style="color: {}">●</span> {}', COLOURS.get(value, "grey"), label)


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = [
        "bid",
        "state",
        "rectype",
        "action",
        "record_count",
        "upload_oks",
        "upload_errs",
        "ingest_oks",
        "ingest_errs",
        "took",
        "added_at",
    ]
    list_filter = ["status", "action", "added_at", ("archived_at", admin.EmptyFieldListFilter)]
    search_fields = ["bid__exact", "rectype__startswith"]
    date_hierarchy = "added_at"
    actions = ["check_now", "queue_upload", "archive"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return AnyAdmin.has_change_permission(self, request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return [field.name for field in self.opts.fields if field.name != "notes"]

    @admin.action(description="Check selected batches now", permissions=["change"])
    def check_now(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        log_action(request, queryset, "Check now")
        try:
            for batch in queryset:
                queue_job("batches.tasks.check_batch", batch.pk, request.user.get_username())
        except OperationRefused as error:
            messages.error(request, str(error))
            return
        messages.success(
            request,
            f"Checks of {pluralize(queryset.count(), 'batch', 'batches')} queued. The page of each batch shows the count.",
        )

    @admin.action(description="Queue upload of selected batches", permissions=["change"])
    def queue_upload(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        for batch in queryset.order_by("added_at", "pk"):
            try:
                is_new = queue_batch(batch, who=request.user.get_username())
            except OperationRefused as error:
                messages.error(request, str(error))
                continue
            if is_new:
                log_action(request, [batch], "Queue upload")
            messages.success(request, f"{batch} is queued for upload.")

    @admin.action(description="Archive selected batches", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        for batch in queryset:
            try:
                archive.archive(batch, who=request.user.get_username())
            except OperationRefused as error:
                messages.error(request, str(error))
            else:
                log_action(request, [batch], "Archive")
                messages.success(request, f"{batch} archived.")

    @admin.display(description="status", ordering="status")
    def state(self, batch: Batch) -> SafeString | str:
        return coloured_label(batch.status, batch.get_status_display())

    @admin.display(description="duration", ordering="ingest_duration")
    def took(self, batch: Batch) -> str:
        return format_duration(batch.ingest_duration)


@admin.register(BatchRecord)
class BatchRecordAdmin(ReadOnlyAdmin):
    list_display = ["batch", "row", "identifier", "action", "upload", "ingest", "message", "tries"]
    list_display_links = ["row"]
    list_filter = ["upload_outcome", "ingest_outcome"]
    list_select_related = ["batch"]
    # Each has an index: a search by a part of a text would read the whole table.
    search_fields = ["batch__bid__exact", "identifier__exact", "identifier_norm__exact", "key_digest__exact"]
    search_help_text = "A batch id, or a whole identifier."
    ordering = ["-batch_id", "row"]

    @admin.display(description="upload", ordering="upload_outcome")
    def upload(self, record: BatchRecord) -> SafeString | str:
        return coloured_label(record.upload_outcome, record.get_upload_outcome_display())

    @admin.display(description="ingest", ordering="ingest_outcome")
    def ingest(self, record: BatchRecord) -> SafeString | str:
        return coloured_label(record.ingest_outcome, record.get_ingest_outcome_display() or "")

    @admin.display(description="message")
    def message(self, record: BatchRecord) -> str:
        candidate = f"{CANDIDATE_PREFIX}{record.ingest_candidate}" if record.ingest_candidate else ""
        return record.ingest_message or candidate or record.upload_message or ""


@admin.register(BatchStep)
class BatchStepAdmin(ReadOnlyAdmin):
    list_display = ["batch", "began_at", "kind", "who", "oks", "errs", "touched", "note"]
    list_display_links = ["began_at"]
    list_filter = ["kind", "began_at"]
    list_select_related = ["batch"]
    search_fields = ["batch__bid__exact"]
    ordering = ["-began_at"]


class IngestCountInline(AnyInline):
    model = IngestCount
    extra = 0
    can_delete = False
    ordering = ["number"]
    verbose_name_plural = f"last {MAX_COUNTS} counts"

    def get_queryset(self, request: HttpRequest) -> QuerySet[IngestCount]:
        same_check = IngestCount.objects.filter(check_run=OuterRef("check_run")).order_by("-number")
        counts: QuerySet[IngestCount] = super().get_queryset(request)
        counts = counts.annotate(last=Subquery(same_check.values("number")[:1]))
        return counts.filter(number__gt=F("last") - MAX_COUNTS)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(IngestCheck)
class IngestCheckAdmin(ReadOnlyAdmin):
    list_display = ["batch", "finished_at", "kind", "found", "remaining", "ingest_oks", "took", "asked_by", "host"]
    list_display_links = ["finished_at"]
    list_filter = ["kind", "verdict", "finished_at"]
    list_select_related = ["batch"]
    search_fields = ["batch__bid__exact"]
    ordering = ["-finished_at"]
    inlines = [IngestCountInline]

    @admin.display(description="verdict", ordering="verdict")
    def found(self, check: IngestCheck) -> SafeString | str:
        return (
            coloured_label(check.verdict, check.get_verdict_display() or "") if check.verdict else check.problem or "-"
        )

    @admin.display(description="duration", ordering="ingest_duration")
    def took(self, check: IngestCheck) -> str:
        return format_duration(check.ingest_duration)
