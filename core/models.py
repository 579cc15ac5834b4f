"""What the site itself remembers: how its background jobs ran, and which alarms are up."""

from __future__ import annotations

from django.db import models


class JobRun(models.Model):
    """How one kind of background job ran last: one row a kind. django-q2's own tables keep only the latest results."""

    name = models.CharField(max_length=100, unique=True, help_text="The function, as in the list of schedules.")
    begun_at = models.DateTimeField(null=True, blank=True, help_text="When it last began (database's clock).")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When it last ended well (database's clock).")
    said = models.CharField(max_length=1000, blank=True, default="", help_text="What it said then.")
    failed_at = models.DateTimeField(null=True, blank=True, help_text="When it last failed (database's clock).")
    error = models.CharField(max_length=1000, blank=True, default="", help_text="Why.")
    host = models.CharField(max_length=255, blank=True, default="", help_text="HOST_NAME where it last began.")
    runs = models.PositiveBigIntegerField(default=0, help_text="How often it ended well.")
    failures = models.PositiveBigIntegerField(default=0, help_text="How often it failed.")

    class Meta:
        verbose_name = "background job"

    def __str__(self) -> str:
        return self.name


class Alarm(models.Model):
    """One matter that `fnstatus` tells of: that it came up, and that it is over. One row a matter, for as often as it comes."""

    kind = models.CharField(max_length=50, help_text="What kind of matter, as `fnstatus --json` says it.")
    about = models.CharField(max_length=520, blank=True, default="", help_text="The feed, server or batch.")
    key = models.CharField(max_length=32, unique=True, editable=False, help_text="Digest of kind and about.")
    level = models.CharField(max_length=10, help_text="wrong, or look.")
    what = models.CharField(max_length=1000, help_text="What is the matter.")
    why = models.CharField(max_length=1000, blank=True, default="", help_text="Why.")
    way_out = models.CharField(max_length=1000, blank=True, default="", help_text="What to do about it.")
    since = models.DateTimeField(null=True, blank=True, help_text="Since when it is so.")
    raised_at = models.DateTimeField(help_text="When it was noticed, the last time.")
    recovered_at = models.DateTimeField(null=True, blank=True, help_text="When it was over; empty: it is up.")
    times = models.PositiveIntegerField(default=1, help_text="How often it came up.")

    class Meta:
        indexes = [
            # What is up, and what was up last.
            models.Index(fields=["recovered_at", "raised_at"], name="fnloader_alarm_up"),
        ]

    def __str__(self) -> str:
        return self.what

    @property
    def is_up(self) -> bool:
        """Whether it is so now."""
        return self.recovered_at is None


class AlarmChannel(models.Model):
    """One way out for alarms (mail, webhook, ping), and whether it works."""

    name = models.CharField(max_length=20, unique=True, help_text="mail, webhook or ping.")
    busy_until = models.DateTimeField(null=True, blank=True, help_text="Somebody sends now (database's clock).")
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it last took something.")
    failing_since = models.DateTimeField(null=True, blank=True, help_text="Since when it fails; empty: it works.")
    error = models.CharField(max_length=1000, blank=True, default="", help_text="Why it fails.")
    tries = models.PositiveIntegerField(default=0, help_text="Failed tries in a row.")
    next_try_at = models.DateTimeField(null=True, blank=True, help_text="When it is tried again; empty: at once.")

    def __str__(self) -> str:
        return self.name


class AlarmNotice(models.Model):
    """What a channel was told of an alarm. Each channel for itself: one that fails is tried again without the others."""

    alarm = models.ForeignKey(Alarm, models.CASCADE, db_index=False, help_text="Which alarm.")
    channel = models.ForeignKey(AlarmChannel, models.CASCADE, help_text="Who was told.")
    raised = models.PositiveIntegerField(default=0, help_text="For which of its times it was told that it came up.")
    recovered = models.PositiveIntegerField(default=0, help_text="For which of its times it was told that it is over.")
    told_at = models.DateTimeField(help_text="When it was told last.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alarm", "channel"], name="fnloader_notice_once")]

    def __str__(self) -> str:
        return f"{self.channel}: {self.alarm}"
