"""What an operator does with batches: each asks first, calls the same function as the command, and is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django import forms
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django_q.tasks import async_task

from batches import remaining
from batches.choices import BatchStatus
from batches.ingest import check
from batches.lifecycle import archive, clear, rollback
from batches.models import Batch
from batches.views.available_actions import JOBS_NOTE, QUIET_TIME
from core.actions import ConfirmedActionView
from core.exceptions import OperationRefused
from core.exceptions import OperationRefused as CoreRefused
from core.formatting import pluralize
from objectstores.base import StoreError

LARGEST_CLEAR_BY_PAGE = 5000
"""So many objects are deleted while somebody waits for a page; more than that is for the command."""
NAMED = 10


@contextmanager
def told() -> Iterator[None]:
    """What the core or the store refuses is told on the page."""
    try:
        yield
    except (CoreRefused, StoreError) as error:
        raise OperationRefused(str(error)) from error


class BatchActionView(ConfirmedActionView):
    """Something done to one batch."""

    permission_required = "batches.change_batch"

    def find(self) -> Batch:
        """By its id."""
        return get_object_or_404(Batch, bid=self.kwargs["bid"])

    def back(self, row: Batch) -> str:
        """To its page."""
        return reverse("batches:batch", args=[row.bid])

    @property
    def who(self) -> str:
        """As whom it stands in the batch's history."""
        return self.request.user.get_username()


class CheckNowView(BatchActionView):
    """One count of what is left, by a job: a page must not wait for a store."""

    title = "Check now"

    def what(self, row: Batch) -> str:
        """What will happen, with its verdict and without."""
        healed = row.status == BatchStatus.INGESTED
        with told():
            if not healed:
                check.ensure_checkable(row)
        said = (
            "What is gone since the result becomes a success, and the report follows."
            if healed
            else f"If nothing is left, the batch is ingested. While objects are left, the check that runs by itself goes on,"
            f" and ends once nothing has changed for {QUIET_TIME}. To judge within seconds, at the risk of being early:"
            f" `python manage.py ingstat {row}`"
        )
        return f"Counts once what is left of {row} in its bucket. {said} {JOBS_NOTE}"

    def do(self, row: Batch, _form: forms.Form) -> str:
        """Queues the job."""
        self.what(row)
        async_task("batches.tasks.check_batch", row.pk, self.who)
        return f"A count of {row} is queued. Its page shows what it saw."


class RollbackIngestView(BatchActionView):
    """The result is taken back."""

    title = "Take the result back"

    def what(self, row: Batch) -> str:
        """What will happen."""
        with told():
            records = rollback.rollback_ingest(row, who=self.who, dry_run=True)
        row.refresh_from_db()
        return (
            f"{row} counts as uploaded again, and can be checked again."
            f" The outcome of {pluralize(records, 'record')} in the ingest is forgotten"
            f" ({row.ingest_oks or 0:,} ingested, {row.ingest_errs or 0:,} left); its checks and counts stay in"
            " its history. Nothing is sent, and nothing is deleted from the bucket."
        )

    def do(self, row: Batch, _form: forms.Form) -> str:
        """As `batch rollback BID ingest`."""
        with told():
            records = rollback.rollback_ingest(row, who=self.who)
        return f"The result of {row} is taken back, with the outcome of {pluralize(records, 'record')}. It can be checked again."


class RollbackUploadView(BatchActionView):
    """The upload is taken back."""

    title = "Take the upload back"

    def what(self, row: Batch) -> str:
        """What will happen; asks the store, which must be empty of it."""
        with told():
            taken = rollback.rollback_upload(row, who=self.who, dry_run=True)
        gone = (
            f" {pluralize(taken.uncertain, 'record')} left the bucket and may have been ingested: they become uncertain, and are"
            " only sent again with `--resend-uncertain`."
            if taken.uncertain
            else ""
        )
        return f"{pluralize(taken.to_send, 'record')} of {row} will be sent again by the next upload.{gone}"

    def do(self, row: Batch, _form: forms.Form) -> str:
        """As `batch rollback BID upload`."""
        with told():
            taken = rollback.rollback_upload(row, who=self.who)
        return (
            f"The upload of {row} is taken back: {pluralize(taken.to_send, 'record')} to be sent again,"
            f" {taken.uncertain:,} uncertain. Its uploads stay in its history."
        )


class ClearView(BatchActionView):
    """What is left in the bucket is deleted."""

    title = "Delete what is left"
    permission_required = "batches.delete_batch"
    danger = True

    def what(self, row: Batch) -> str:
        """What would be deleted, by number and the first names."""
        found = self._look(row)
        names = ", ".join(one.identifier for one in found.examples[:NAMED])
        more = f", and {found.number - NAMED:,} more" if found.number > NAMED else ""
        return (
            f"{pluralize(found.number, 'object')} of {row} ({found.size:,} bytes) will be deleted from {found.store}, and of no"
            f" other batch: {names}{more}. Their names and keys are kept as a CSV that this page then offers; the objects"
            f" themselves can't be had back. All of them: `python manage.py batch objects {row}`"
        )

    def do(self, row: Batch, _form: forms.Form) -> str:
        """As `batch clear BID`."""
        self._look(row)
        try:
            with told():
                done = clear.clear(row, who=self.who)
        except OSError as error:
            raise OperationRefused(
                f"Nothing was deleted, for the list of it could not be written: {error.strerror}."
            ) from error
        return f"{pluralize(done.objects, 'object')} of {row} deleted, of {pluralize(done.records, 'record')}."

    def _look(self, row: Batch) -> remaining.RemainingSummary:
        with told():
            clear.ensure_clearable(row)
            found = remaining.summary(row, LARGEST_CLEAR_BY_PAGE + 1)
        if not found.number:
            raise OperationRefused(f"Nothing of {row} is left in {found.store}.")
        if found.number > LARGEST_CLEAR_BY_PAGE:
            raise OperationRefused(
                f"More than {LARGEST_CLEAR_BY_PAGE:,} objects of {row} are left, too many for a page to wait for."
                f" Delete them with: manage.py batch clear {row}"
            )
        return found


class ArchiveView(BatchActionView):
    """It goes out of the way."""

    title = "Archive"

    def what(self, row: Batch) -> str:
        """What will happen."""
        with told():
            archive.archive(row, who=self.who, dry_run=True)
        return (
            f"{row} goes out of the way: lists and alarms leave it out, and it is neither sent nor checked any more. All its"
            " facts stay, and it can be taken out again. Nothing is deleted."
        )

    def do(self, row: Batch, _form: forms.Form) -> str:
        """As `batch archive BID`."""
        with told():
            archive.archive(row, who=self.who)
        return f"{row} is archived."


class UnarchiveView(BatchActionView):
    """It comes back."""

    title = "Take out of the archive"

    def what(self, row: Batch) -> str:
        """What will happen."""
        return f"{row} is in lists again, and can be worked on."

    def do(self, row: Batch, _form: forms.Form) -> str:
        """As `batch archive BID --undo`."""
        with told():
            archive.unarchive(row, who=self.who)
        return f"{row} is out of the archive."
