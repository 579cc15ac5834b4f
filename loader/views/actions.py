"""Actions on feeds and files. Each asks for confirmation, calls the same function as the commands, and is logged."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet
from django.urls import reverse

from core.actions import JOBS_NOTE, ConfirmedActionView
from core.exceptions import OperationRefused
from core.formatting import pluralize
from core.jobs.queueing import queue_job
from loader.choices import ObjectState
from loader.feeds import manage, rejections
from loader.models import BucketObject, Feed
from loader.models.feeds import TEXT_LENGTH


class FeedActionView(ConfirmedActionView):
    """An action on one feed."""

    permission_required = "loader.change_feed"

    queryset = Feed.objects.select_related("server")
    slug_field = slug_url_kwarg = "name"
    object: Feed

    def get_success_url(self) -> str:
        return reverse("loader:feed", args=[self.object.name])

    def feeds(self) -> QuerySet[Feed]:
        """The feed as a queryset."""
        return Feed.objects.filter(pk=self.object.pk)


class ReasonForm(forms.Form):
    """The reason for a pause."""

    reason = forms.CharField(
        max_length=TEXT_LENGTH - 200, label="Reason (shown on the feed's page)", widget=forms.TextInput
    )


class PauseView(FeedActionView):
    """Pauses a feed."""

    title = "Pause"
    form_class = ReasonForm

    def describe(self) -> str:
        return f"{self.object} loads nothing until it is resumed. An insert in flight is finished."

    def perform(self, form: forms.Form) -> str:
        if not manage.pause_feeds(self.feeds(), form.cleaned_data["reason"]):
            raise OperationRefused(f"{self.object} is already paused.")
        return f"{self.object} paused: {form.cleaned_data['reason']}"


class ResumeView(FeedActionView):
    """Resumes a feed."""

    title = "Resume"

    def describe(self) -> str:
        reason = f" Reason of the pause: {self.object.pause_reason}" if self.object.pause_reason else ""
        return f"{self.object} is loaded again, and its count of refusals restarts at 0.{reason}"

    def perform(self, _form: forms.Form) -> str:
        if not manage.resume_feeds(self.feeds()):
            raise OperationRefused(f"{self.object} is not paused.")
        return f"{self.object} resumed."


class LoadNowView(FeedActionView):
    """Queues a job that loads a feed."""

    title = "Load now"

    def describe(self) -> str:
        return (
            f"A job scans the bucket of {self.object} and loads what is due into {self.object.server.url}. {JOBS_NOTE}"
        )

    def perform(self, _form: forms.Form) -> str:
        if self.object.paused_at:
            raise OperationRefused(f"{self.object} is paused. Resume it first.")
        queue_job("loader.tasks.load_feed", self.object.pk)
        return f"Load of {self.object} queued."


class ReconcileView(FeedActionView):
    """Queues a job that compares bucket, ledger and server."""

    title = "Reconcile"

    def describe(self) -> str:
        return (
            f"A job compares bucket, ledger and server of {self.object}, sample by sample. Nothing is changed; differences "
            f"appear on its page. {JOBS_NOTE}"
        )

    def perform(self, _form: forms.Form) -> str:
        queue_job("loader.tasks.reconcile_feed", self.object.pk)
        return f"Comparison of {self.object} queued."


class RejectionsForm(forms.Form):
    """Which rejections to undo."""

    reason = forms.CharField(required=False, max_length=200, label="Reason contains")


class RetryView(FeedActionView):
    """Retries rejected files."""

    title = "Retry rejected files"
    permission_required = "loader.change_bucketobject"
    form_class = RejectionsForm

    def describe(self) -> str:
        summary = rejections.retry(self.object, "default", dry_run=True)
        return (
            f"{pluralize(summary.rejected, 'rejected file')} of {self.object} will be queued again, and "
            f"{pluralize(summary.postponed, 'delayed file')} will be due now. Their attempts stay."
        )

    def perform(self, form: forms.Form) -> str:
        summary = rejections.retry(self.object, "default", reason=form.cleaned_data["reason"])
        return f"{pluralize(summary.rejected, 'rejected file')} of {self.object} queued, {summary.postponed:,} delayed due now."


class AcknowledgeView(FeedActionView):
    """Acknowledges rejected files, and samples with unproven links."""

    title = "Acknowledge"
    permission_required = "loader.change_bucketobject"

    def describe(self) -> str:
        summary = rejections.acknowledge(self.object, "default", dry_run=True)
        return f"{summary} of {self.object} stay as they are, without a warning."

    def perform(self, _form: forms.Form) -> str:
        return f"{rejections.acknowledge(self.object, 'default')} of {self.object} acknowledged."


class FileActionView(ConfirmedActionView):
    """An action on one file."""

    permission_required = "loader.change_bucketobject"

    queryset = BucketObject.objects.select_related("feed")
    object: BucketObject

    def get_success_url(self) -> str:
        return reverse("loader:file", args=[self.object.pk])


class TryAgainView(FileActionView):
    """Retries one file."""

    title = "Retry"

    def describe(self) -> str:
        reason = f" Reason of the rejection: {self.object.reason}" if self.object.state == ObjectState.REJECTED else ""
        return f"{self.object} is loaded with the next scan of its bucket.{reason}"

    def perform(self, _form: forms.Form) -> str:
        if not rejections.retry_files(BucketObject.objects.filter(pk=self.object.pk)):
            raise OperationRefused(f"{self.object} is neither rejected nor delayed.")
        return f"{self.object} queued."


class AcceptView(FileActionView):
    """Acknowledges one rejected file, or a sample with unproven links."""

    title = "Acknowledge"

    def describe(self) -> str:
        return f"{self.object} stays as it is, without a warning."

    def perform(self, _form: forms.Form) -> str:
        if not rejections.acknowledge_files(BucketObject.objects.filter(pk=self.object.pk)):
            raise OperationRefused(
                f"{self.object} is neither rejected nor stored with unproven links, or already acknowledged."
            )
        return f"{self.object} acknowledged."
