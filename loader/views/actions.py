"""What an operator does with feeds and files: each asks, calls the same function as the commands, and is written down."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django_q.tasks import async_task

from core.actions import ConfirmedActionView
from core.exceptions import OperationRefused
from core.formatting import pluralize
from loader.choices import ObjectState
from loader.feeds import manage, rejections
from loader.models import BucketObject, Feed
from loader.models.feeds import TEXT_LENGTH

JOBS_NOTE = "The background jobs do it: `python manage.py qcluster` must run."


class FeedActionView(ConfirmedActionView):
    """Something done to one feed."""

    permission_required = "loader.change_feed"

    def find(self) -> Feed:
        """By its name."""
        return get_object_or_404(Feed.objects.select_related("server"), name=self.kwargs["name"])

    def back(self, row: Feed) -> str:
        """To its page."""
        return reverse("loader:feed", args=[row.name])

    def rows(self, row: Feed) -> QuerySet[Feed]:
        """As the core takes it."""
        return Feed.objects.filter(pk=row.pk)


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=TEXT_LENGTH - 200, label="Why? Everybody who looks at the feed is told.", widget=forms.TextInput
    )


class PauseView(FeedActionView):
    """Nothing more is loaded."""

    title = "Pause"
    form_class = ReasonForm

    def what(self, row: Feed) -> str:
        """What will happen."""
        return f"Nothing more of {row} is loaded until somebody resumes it. An insert that is in flight is finished."

    def do(self, row: Feed, form: forms.Form) -> str:
        """As `feed pause`."""
        if not manage.pause_feeds(self.rows(row), form.cleaned_data["reason"]):
            raise OperationRefused(f"{row} is paused already.")
        return f"{row} is paused: {form.cleaned_data['reason']}"


class ResumeView(FeedActionView):
    """It is loaded again."""

    title = "Resume"

    def what(self, row: Feed) -> str:
        """What will happen."""
        why = f" It was paused because: {row.pause_reason}" if row.pause_reason else ""
        return f"{row} is loaded again, and refusals of its server are counted anew.{why}"

    def do(self, row: Feed, _form: forms.Form) -> str:
        """As `feed resume`."""
        if not manage.resume_feeds(self.rows(row)):
            raise OperationRefused(f"{row} is not paused.")
        return f"{row} is resumed."


class LoadNowView(FeedActionView):
    """A job loads what is due."""

    title = "Load now"

    def what(self, row: Feed) -> str:
        """What will happen."""
        return f"The bucket of {row} is looked at, and what is due is loaded into {row.server.url}. {JOBS_NOTE}"

    def do(self, row: Feed, _form: forms.Form) -> str:
        """Queues the job."""
        if row.paused_at:
            raise OperationRefused(f"{row} is paused: resume it first.")
        async_task("loader.tasks.load_feed", row.pk)
        return f"{row} is to be loaded now: a job is queued."


class ReconcileView(FeedActionView):
    """A job compares bucket, ledger and server."""

    title = "Reconcile"

    def what(self, row: Feed) -> str:
        """What will happen."""
        return (
            f"Bucket, ledger and server of {row} are compared, sample by sample; nothing is changed. The differences "
            f"appear on its page. {JOBS_NOTE}"
        )

    def do(self, row: Feed, _form: forms.Form) -> str:
        """Queues the job."""
        async_task("loader.tasks.reconcile_feed", row.pk)
        return f"{row} is to be compared: a job is queued."


class RejectionsForm(forms.Form):
    """Which rejections."""

    reason = forms.CharField(required=False, max_length=200, label="Only those whose reason holds this text")


class RetryView(FeedActionView):
    """Rejected files wait again."""

    title = "Try rejected files again"
    permission_required = "loader.change_bucketobject"
    form_class = RejectionsForm

    def what(self, row: Feed) -> str:
        """What will happen."""
        done = rejections.retry(row, "default", dry_run=True)
        return (
            f"{pluralize(done.rejected, 'rejected file')} of {row} will wait to be loaded again, and "
            f"{pluralize(done.postponed, 'file')} that wait for a later try will be due now. Their attempts stay."
        )

    def do(self, row: Feed, form: forms.Form) -> str:
        """As `feed retry`."""
        done = rejections.retry(row, "default", reason=form.cleaned_data["reason"])
        return f"{pluralize(done.rejected, 'rejected file')} of {row} wait again, {done.postponed:,} are due now."


class AcknowledgeView(FeedActionView):
    """Rejected files are accepted as they are."""

    title = "Accept rejected files"
    permission_required = "loader.change_bucketobject"

    def what(self, row: Feed) -> str:
        """What will happen."""
        number = rejections.acknowledge(row, "default", dry_run=True)
        return (
            f"{pluralize(number, 'rejected file')} of {row} will be accepted as failed: no alarm names them any more."
        )

    def do(self, row: Feed, _form: forms.Form) -> str:
        """As `feed acknowledge`."""
        return f"{pluralize(rejections.acknowledge(row, 'default'), 'rejected file')} of {row} accepted as failed."


class FileActionView(ConfirmedActionView):
    """Something done to one file."""

    permission_required = "loader.change_bucketobject"

    def find(self) -> BucketObject:
        """By its key."""
        return get_object_or_404(BucketObject.objects.select_related("feed"), pk=self.kwargs["pk"])

    def back(self, row: BucketObject) -> str:
        """To its page."""
        return reverse("loader:file", args=[row.pk])


class TryAgainView(FileActionView):
    """One file waits again."""

    title = "Try again"

    def what(self, row: BucketObject) -> str:
        """What will happen."""
        why = f" It was rejected because: {row.reason}" if row.state == ObjectState.REJECTED else ""
        return f"{row} is loaded with the next look at its bucket.{why}"

    def do(self, row: BucketObject, _form: forms.Form) -> str:
        """As the admin's action."""
        if not rejections.try_again(BucketObject.objects.filter(pk=row.pk)):
            raise OperationRefused(f"{row} is neither rejected nor waiting for a later try.")
        return f"{row} waits to be loaded."


class AcceptView(FileActionView):
    """One file is accepted as it is."""

    title = "Accept as failed"

    def what(self, row: BucketObject) -> str:
        """What will happen."""
        return f"{row} stays rejected, and no alarm names it any more."

    def do(self, row: BucketObject, _form: forms.Form) -> str:
        """As `feed acknowledge` for one file."""
        if not rejections.accept(BucketObject.objects.filter(pk=row.pk)):
            raise OperationRefused(f"{row} is not rejected, or accepted already.")
        return f"{row} is accepted as failed."
