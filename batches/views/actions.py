"""Actions on a batch: each asks first, calls the same function as the command, and is written to the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.urls import reverse

from batches import remaining
from batches.choices import BatchStatus
from batches.ingest import check
from batches.lifecycle import archive, clear, rollback
from batches.models import Batch
from batches.tags import set_tags, tags_of
from batches.upload.run import plan_upload
from batches.upload_queue import entries
from batches.upload_queue.run import read_queue
from batches.views.available_actions import quiet_time
from core.actions import JOBS_NOTE, ConfirmedActionView
from core.exceptions import OperationRefused
from core.formatting import pluralize
from core.jobs.queueing import queue_job

MAX_OBJECTS_TO_CLEAR = 5000
"""More objects take too long for a page: use the command."""
MAX_EXAMPLES = 10
MAX_TAGS_LENGTH = 1000


class BatchActionView(ConfirmedActionView):
    """An action on one batch."""

    permission_required = "batches.change_batch"
    model = Batch
    slug_field = slug_url_kwarg = "bid"
    object: Batch

    def get_success_url(self) -> str:
        return reverse("batches:batch", args=[self.object.bid])


class CheckNowView(BatchActionView):
    """One count by a background job: a page must not wait for a store."""

    title = "Check now"

    def describe(self) -> str:
        batch = self.object
        if batch.status == BatchStatus.INGESTED:
            effect = "Records that were ingested since the result become successes, and the report is updated."
        else:
            check.ensure_checkable(batch)
            effect = (
                f"If nothing is left, the ingest is complete. While objects remain, the scheduled check continues and ends"
                f" when nothing has changed for {quiet_time()}. For a verdict within seconds, which may come too early:"
                f" `python manage.py ingstat {batch}`"
            )
        return f"Counts the remaining objects of {batch} in its bucket once. {effect} {JOBS_NOTE}"

    def perform(self, _form: forms.Form) -> str:
        self.describe()
        queue_job("batches.tasks.check_batch", self.object.pk, self.who)
        return f"A check of {self.object} is queued. Its page shows the count."


class QueueUploadView(BatchActionView):
    """As `batch upload` of several, by the background jobs."""

    title = "Queue upload"

    def describe(self) -> str:
        batch = self.object
        if batch.status == BatchStatus.UPLOADED and not batch.upload_is_open:
            raise OperationRefused(
                f"{batch} is uploaded. To send records again that were not uploaded: manage.py batch upload {batch}"
            )
        entries.ensure_queueable(batch)
        plan, queue = plan_upload(batch), read_queue()
        ahead = len(queue.waiting) + len(queue.running)
        when = f" after {pluralize(ahead, 'other batch', 'other batches')} of the queue" if ahead else ""
        hours = f", within UPLOAD_HOURS ({settings.UPLOAD_HOURS.text})" if settings.UPLOAD_HOURS.text else ""
        stopped = f" The queue is stopped at {entries.bids(queue.stops)}: resume it first." if queue.stops else ""
        return (
            f"Uploads {pluralize(plan.to_send, 'record')} of {batch} to {plan.store}{when}{hours}, from this machine's files."
            " Records that other batches create, too, are sent. The scheduled check follows its ingest; if more than"
            f" {settings.UPLOAD_STOP_SHARE * 100:g} % of the records of a batch fail, the queue stops.{stopped} {JOBS_NOTE}"
        )

    def perform(self, _form: forms.Form) -> str:
        self.describe()
        if not entries.queue_batch(self.object, who=self.who):
            raise OperationRefused(f"{self.object} is queued already.")
        return f"{self.object} is queued for upload. Its page shows what became of it."


class UnqueueView(BatchActionView):
    """As `batch queue --remove BID`."""

    title = "Remove from queue"

    def describe(self) -> str:
        if not self.object.queued_at:
            raise OperationRefused(f"{self.object} is not queued for upload.")
        open_upload = (
            " What is uploaded stays uploaded, and the rest is not sent." if self.object.upload_is_open else ""
        )
        return f"{self.object} is not uploaded by the queue.{open_upload} It can be queued again."

    def perform(self, _form: forms.Form) -> str:
        entries.remove_from_queue(self.object, who=self.who)
        return f"{self.object} removed from the upload queue."


class ResumeQueueView(BatchActionView):
    """As `batch queue --resume`."""

    title = "Resume upload queue"

    def describe(self) -> str:
        queue = read_queue()
        if not queue.stops:
            raise OperationRefused("The upload queue is not stopped.")
        stops = " ".join(f"It stopped at {batch}: {(batch.queue_stop or '').rstrip('.')}." for batch in queue.stops)
        return f"{stops} The queue goes on with {pluralize(len(queue.waiting), 'batch', 'batches')}. {JOBS_NOTE}"

    def perform(self, _form: forms.Form) -> str:
        if not entries.resume_queue():
            raise OperationRefused("The upload queue is not stopped.")
        return "Upload queue resumed."


class RollbackIngestView(BatchActionView):
    """As `batch rollback BID ingest`."""

    title = "Undo ingest result"

    def describe(self) -> str:
        batch, records = self.object, rollback.count_ingest_rollback(self.object)
        return (
            f"{batch} becomes uploaded again and can be checked again. The ingest outcome of {pluralize(records, 'record')}"
            f" ({batch.ingest_oks or 0:,} ingested, {batch.ingest_errs or 0:,} remaining) is cleared; its checks and counts"
            " stay in its history. Nothing is sent, and nothing is deleted from the bucket."
        )

    def perform(self, _form: forms.Form) -> str:
        records = rollback.rollback_ingest(self.object, who=self.who)
        return (
            f"Ingest result of {self.object} undone, with the outcome of {pluralize(records, 'record')}."
            " It can be checked again."
        )


class RollbackUploadView(BatchActionView):
    """As `batch rollback BID upload`."""

    title = "Undo upload"

    def describe(self) -> str:
        plan = rollback.count_upload_rollback(self.object)
        uncertain = (
            f" {pluralize(plan.uncertain, 'record')} left the bucket and may have been ingested: they become uncertain and are"
            " sent again only with `--resend-uncertain`."
            if plan.uncertain
            else ""
        )
        return f"The next upload of {self.object} sends {pluralize(plan.to_send, 'record')} again.{uncertain}"

    def perform(self, _form: forms.Form) -> str:
        result = rollback.rollback_upload(self.object, who=self.who)
        return (
            f"Upload of {self.object} undone: {pluralize(result.to_send, 'record')} to send again,"
            f" {result.uncertain:,} uncertain. Its uploads stay in its history."
        )


class ClearView(BatchActionView):
    """As `batch clear BID`."""

    title = "Delete remaining objects"
    permission_required = "batches.delete_batch"
    danger = True
    retried = False
    """Only objects of records that are tried again and again."""

    def describe(self) -> str:
        batch, found = self.object, self._summary()
        names = ", ".join(item.identifier for item in found.examples[:MAX_EXAMPLES])
        more = f", and {found.number - MAX_EXAMPLES:,} more" if found.number > MAX_EXAMPLES else ""
        return (
            f"Deletes {pluralize(found.number, self._noun)} of {batch} ({found.size:,} bytes) from {found.store}, and nothing of"
            f" any other batch: {names}{more}. Their names and keys are kept as a CSV on the batch's page; the objects"
            f" themselves can't be restored. To list all: `python manage.py batch objects {batch}{self._option}`"
        )

    def perform(self, _form: forms.Form) -> str:
        self._summary()
        try:
            result = clear.clear(self.object, who=self.who, only_retried=self.retried)
        except OSError as error:
            raise OperationRefused(
                f"Nothing was deleted: the list of objects could not be written ({error.strerror})."
            ) from error
        return (
            f"Deleted {pluralize(result.objects, 'object')} of {self.object}, of {pluralize(result.records, 'record')}."
            f" {result.kept_text}".rstrip()
        )

    def _summary(self) -> remaining.RemainingSummary:
        batch = self.object
        clear.ensure_clearable(batch)
        found = remaining.summarize_remaining(batch, MAX_OBJECTS_TO_CLEAR + 1, retried=self.retried)
        if not found.number:
            raise OperationRefused(f"No {self._noun}s of {batch} remain in {found.store}.")
        if found.number > MAX_OBJECTS_TO_CLEAR:
            raise OperationRefused(
                f"More than {MAX_OBJECTS_TO_CLEAR:,} {self._noun}s of {batch} remain, too many to delete here."
                f" Run: manage.py batch clear {batch}{self._option}"
            )
        return found

    @property
    def _noun(self) -> str:
        return "retried object" if self.retried else "object"

    @property
    def _option(self) -> str:
        return " --retried" if self.retried else ""


class ClearRetriedView(ClearView):
    """As `batch clear BID --retried`."""

    title = "Delete retried objects"
    retried = True


class TagsForm(forms.Form):
    """Tags as one text."""

    tags = forms.CharField(label="Tags, separated by commas", required=False, max_length=MAX_TAGS_LENGTH)


class TagsView(BatchActionView):
    """As `batch tag`."""

    title = "Edit tags"
    form_class = TagsForm

    def get_initial(self) -> dict[str, Any]:
        return {"tags": ", ".join(tags_of(self.object))}

    def describe(self) -> str:
        return "A client, a project, or whatever else several batches have in common: lists and summaries can be filtered by it."

    def perform(self, form: forms.Form) -> str:
        names = set_tags(self.object, filter(str.strip, form.cleaned_data["tags"].split(",")))
        return f"Tags of {self.object}: {', '.join(names)}." if names else f"{self.object} has no tags."


class ArchiveView(BatchActionView):
    """As `batch archive BID`."""

    title = "Archive"

    def describe(self) -> str:
        archive.ensure_archivable(self.object)
        return (
            f"{self.object} disappears from lists and alarms, and is no longer uploaded or checked. Its data stays, and it"
            " can be unarchived. Nothing is deleted."
        )

    def perform(self, _form: forms.Form) -> str:
        archive.archive(self.object, who=self.who)
        return f"{self.object} archived."


class UnarchiveView(BatchActionView):
    """As `batch archive BID --undo`."""

    title = "Unarchive"

    def describe(self) -> str:
        return f"{self.object} appears in lists again and can be uploaded and checked."

    def perform(self, _form: forms.Form) -> str:
        archive.unarchive(self.object, who=self.who)
        return f"{self.object} unarchived."
