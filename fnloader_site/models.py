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
