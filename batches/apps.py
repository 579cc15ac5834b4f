"""The app's name and label."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    """Batches and their ingest."""

    name = "batches"
