"""ServerReading: what a server said about itself, at most once a minute."""

from __future__ import annotations

from django.db import models

from loader.models.feeds import Server


class ServerReading(models.Model):
    """One answer of a server about itself, for the charts of its page."""

    server = models.ForeignKey(
        # The index below begins with the server.
        Server,
        models.CASCADE,
        related_name="readings",
        db_index=False,
        help_text="The server that was asked.",
    )
    at = models.DateTimeField(help_text="When (database's clock).")
    samples = models.IntegerField(null=True, blank=True, help_text="Samples in its database.")
    engine_samples = models.IntegerField(null=True, blank=True, help_text="Samples in its engine.")
    invalid = models.IntegerField(null=True, blank=True, help_text="Samples with too many N to be compared.")
    memory_used = models.BigIntegerField(null=True, blank=True, help_text="Memory in use on its host, in bytes.")
    memory_total = models.BigIntegerField(null=True, blank=True, help_text="Memory of its host, in bytes.")

    class Meta:
        indexes = [
            # The readings of a server over time.
            models.Index(fields=["server", "at"], name="loader_reading_of_server"),
        ]

    def __str__(self) -> str:
        return f"{self.server} at {self.at}"
