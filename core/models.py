"""The site's own state: how its background jobs ran, and which alarms are up."""

from __future__ import annotations

from django.db import models

from core.fields import MessageField


class JobRun(models.Model):
    """The last run of one kind of background job: one row a kind. django-q2's own tables keep only the latest results."""

    name = models.CharField(max_length=100, unique=True, help_text="Dotted name of the function, as in the schedules.")
    begun_at = models.DateTimeField(null=True, blank=True, help_text="Start of the last run (database clock).")
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="End of the last successful run (database clock)."
    )
    said = MessageField(max_length=1000, blank=True, default="", help_text="Result of that run.")
    failed_at = models.DateTimeField(null=True, blank=True, help_text="Time of the last failure (database clock).")
    error = MessageField(max_length=1000, blank=True, default="", help_text="Error of that failure.")
    host = models.CharField(max_length=255, blank=True, default="", help_text="HOST_NAME of the last run.")
    runs = models.PositiveBigIntegerField(default=0, help_text="Successful runs.")
    failures = models.PositiveBigIntegerField(default=0, help_text="Failed runs.")

    class Meta:
        verbose_name = "background job"

    def __str__(self) -> str:
        return self.name


class Alarm(models.Model):
    """A concern of `fnstatus` that was raised: one row, however often it comes up."""

    kind = models.CharField(max_length=50, help_text="The kind, as in `fnstatus --json`.")
    about = models.CharField(max_length=520, blank=True, default="", help_text="Name of the feed, server or batch.")
    key = models.CharField(max_length=32, unique=True, editable=False, help_text="Digest of kind and about.")
    level = models.CharField(
        max_length=10,
        choices=[("wrong", "error"), ("look", "warning")],
        help_text="How bad it is.",
    )
    what = MessageField(max_length=1000, help_text="What happened, and to what.")
    why = MessageField(max_length=1000, blank=True, default="", help_text="Reason.")
    way_out = MessageField(max_length=1000, blank=True, default="", help_text="What to do.")
    since = models.DateTimeField(null=True, blank=True, help_text="When it began.")
    raised_at = models.DateTimeField(help_text="When it was last detected.")
    recovered_at = models.DateTimeField(null=True, blank=True, help_text="When it was resolved; empty: still up.")
    times = models.PositiveIntegerField(default=1, help_text="How many times it was raised.")

    class Meta:
        indexes = [
            # Alarms that are up, and the latest of the others.
            models.Index(fields=["recovered_at", "raised_at"], name="fnloader_alarm_up"),
        ]

    def __str__(self) -> str:
        return self.what

    @property
    def is_up(self) -> bool:
        """Whether it is not resolved."""
        return self.recovered_at is None


class AlarmChannel(models.Model):
    """A channel for alarms (mail, webhook, ping), and whether it works."""

    name = models.CharField(max_length=20, unique=True, help_text="mail, webhook or ping.")
    busy_until = models.DateTimeField(
        null=True, blank=True, help_text="A process is sending until then (database clock)."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="Last delivery.")
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="First of the failures in a row; empty: it works."
    )
    error = MessageField(max_length=1000, blank=True, default="", help_text="Last error.")
    tries = models.PositiveIntegerField(default=0, help_text="Failures in a row.")
    next_try_at = models.DateTimeField(null=True, blank=True, help_text="Next retry; empty: immediately.")

    def __str__(self) -> str:
        return self.name


class AlarmNotice(models.Model):
    """What a channel has been sent of an alarm, so that a channel that fails is retried without the others."""

    alarm = models.ForeignKey(Alarm, models.CASCADE, db_index=False, help_text="The alarm.")
    channel = models.ForeignKey(AlarmChannel, models.CASCADE, help_text="The channel.")
    raised = models.PositiveIntegerField(default=0, help_text="The last of its times that was sent as raised.")
    recovered = models.PositiveIntegerField(default=0, help_text="The last of its times that was sent as recovered.")
    told_at = models.DateTimeField(help_text="Last delivery.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alarm", "channel"], name="fnloader_notice_once")]

    def __str__(self) -> str:
        return f"{self.channel}: {self.alarm}"
