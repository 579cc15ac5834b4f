"""What an operator does with feeds and files: each asks, calls the same function as the commands, and is written down."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet
from django.urls import reverse
from django_q.tasks import async_task

from core.actions import JOBS_NOTE, ConfirmedActionView
from core.exceptions import OperationRefused
from core.formatting import pluralize
from loader.choices import ObjectState
from loader.feeds import manage, rejections
from loader.models import BucketObject, Feed
from loader.models.feeds import TEXT_LENGTH


class FeedActionView(ConfirmedActionView):
    """Something done to one feed."""

    permission_required = "loader.change_feed"

    queryset = Feed.objects.select_related("server")
    slug_field = slug_url_kwarg = "name"
    object: Feed

    def get_success_url(self) -> str:
        """To its page."""
        return reverse("loader:feed", args=[self.object.name])

    def feeds(self) -> QuerySet[Feed]:
        """As the core takes it."""
        return Feed.objects.filter(pk=self.object.pk)


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=TEXT_LENGTH - 200, label="Why? Everybody who looks at the feed is told.", widget=forms.TextInput
    )


class PauseView(FeedActionView):
    """Nothing more is loaded."""

    title = "Pause"
    form_class = ReasonForm

    def describe(self) -> str:
        """What will happen."""
        return f"Nothing more of {self.object} is loaded until somebody resumes it. An insert that is in flight is finished."

    def perform(self, form: forms.Form) -> str:
        """As `feed pause`."""
        if not manage.pause_feeds(self.feeds(), form.cleaned_data["reason"]):
            raise OperationRefused(f"{self.object} is paused already.")
        return f"{self.object} is paused: {form.cleaned_data['reason']}"


class ResumeView(FeedActionView):
    """It is loaded again."""

    title = "Resume"

    def describe(self) -> str:
        """What will happen."""
        why = f" It was paused because: {self.object.pause_reason}" if self.object.pause_reason else ""
        return f"{self.object} is loaded again, and refusals of its server are counted anew.{why}"

    def perform(self, _form: forms.Form) -> str:
        """As `feed resume`."""
        if not manage.resume_feeds(self.feeds()):
            raise OperationRefused(f"{self.object} is not paused.")
        return f"{self.object} is resumed."


class LoadNowView(FeedActionView):
    """A job loads what is due."""

    title = "Load now"

    def describe(self) -> str:
        """What will happen."""
        return f"The bucket of {self.object} is looked at, and what is due is loaded into {self.object.server.url}. {JOBS_NOTE}"

    def perform(self, _form: forms.Form) -> str:
        """Queues the job."""
        if self.object.paused_at:
            raise OperationRefused(f"{self.object} is paused: resume it first.")
        async_task("loader.tasks.load_feed", self.object.pk)
        return f"{self.object} is to be loaded now: a job is queued."


class ReconcileView(FeedActionView):
    """A job compares bucket, ledger and server."""

    title = "Reconcile"

    def describe(self) -> str:
        """What will happen."""
        return (
            f"Bucket, ledger and server of {self.object} are compared, sample by sample; nothing is changed. The differences "
            f"appear on its page. {JOBS_NOTE}"
        )

    def perform(self, _form: forms.Form) -> str:
        """Queues the job."""
        async_task("loader.tasks.reconcile_feed", self.object.pk)
        return f"{self.object} is to be compared: a job is queued."


class RejectionsForm(forms.Form):
    """Which rejections."""

    reason = forms.CharField(required=False, max_length=200, label="Only those whose reason holds this text")


class RetryView(FeedActionView):
    """Rejected files wait again."""

    title = "Try rejected files again"
    permission_required = "loader.change_bucketobject"
    form_class = RejectionsForm

    def describe(self) -> str:
        """What will happen."""
        done = rejections.retry(self.object, "default", dry_run=True)
        return (
            f"{pluralize(done.rejected, 'rejected file')} of {self.object} will wait to be loaded again, and "
            f"{pluralize(done.postponed, 'file')} that wait for a later try will be due now. Their attempts stay."
        )

    def perform(self, form: forms.Form) -> str:
        """As `feed retry`."""
        done = rejections.retry(self.object, "default", reason=form.cleaned_data["reason"])
        return (
            f"{pluralize(done.rejected, 'rejected file')} of {self.object} wait again, {done.postponed:,} are due now."
        )


class AcknowledgeView(FeedActionView):
    """Rejected files are accepted as they are."""

    title = "Accept rejected files"
    permission_required = "loader.change_bucketobject"

    def describe(self) -> str:
        """What will happen."""
        number = rejections.acknowledge(self.object, "default", dry_run=True)
        return f"{pluralize(number, 'rejected file')} of {self.object} will be accepted as failed: no alarm names them any more."

    def perform(self, _form: forms.Form) -> str:
        """As `feed acknowledge`."""
        number = rejections.acknowledge(self.object, "default")
        return f"{pluralize(number, 'rejected file')} of {self.object} accepted as failed."


class FileActionView(ConfirmedActionView):
    """Something done to one file."""

    permission_required = "loader.change_bucketobject"

    queryset = BucketObject.objects.select_related("feed")
    object: BucketObject

    def get_success_url(self) -> str:
        """To its page."""
        return reverse("loader:file", args=[self.object.pk])


class TryAgainView(FileActionView):
    """One file waits again."""

    title = "Try again"

    def describe(self) -> str:
        """What will happen."""
        why = f" It was rejected because: {self.object.reason}" if self.object.state == ObjectState.REJECTED else ""
        return f"{self.object} is loaded with the next look at its bucket.{why}"

    def perform(self, _form: forms.Form) -> str:
        """As the admin's action."""
        if not rejections.try_again(BucketObject.objects.filter(pk=self.object.pk)):
            raise OperationRefused(f"{self.object} is neither rejected nor waiting for a later try.")
        return f"{self.object} waits to be loaded."


class AcceptView(FileActionView):
    """One file is accepted as it is."""

    title = "Accept as failed"

    def describe(self) -> str:
        """What will happen."""
        return f"{self.object} stays rejected, and no alarm names it any more."

    def perform(self, _form: forms.Form) -> str:
        """As `feed acknowledge` for one file."""
        if not rejections.accept(BucketObject.objects.filter(pk=self.object.pk)):
            raise OperationRefused(f"{self.object} is not rejected, or accepted already.")
        return f"{self.object} is accepted as failed."
