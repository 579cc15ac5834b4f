"""App configuration."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    """Batches and their ingest."""

    name = "batches"
