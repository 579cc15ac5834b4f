"""Which store a batch is in, and how its keys are named there."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from batches.models import Batch
from core.exceptions import OperationRefused


def store_url(batch: Batch) -> str:
    """Where it was uploaded to; before that, BATCH_STORE_URL. Raises OperationRefused if neither is known."""
    if url := batch.store_url or settings.BATCH_STORE_URL:
        return str(url)
    raise OperationRefused(
        f"The store of {batch} is not known because BATCH_STORE_URL is not set. Set it in the environment or in .env, for"
        " example BATCH_STORE_URL=s3://fast-import-bucket."
    )


def store_changed_note(batch: Batch) -> str:
    """One line if BATCH_STORE_URL is not the store of this batch; otherwise empty."""
    current = str(settings.BATCH_STORE_URL)
    if not batch.store_url or not current or current.rstrip("/") == batch.store_url.rstrip("/"):
        return ""
    return f"{batch} was uploaded to {batch.store_url} and is counted there, although BATCH_STORE_URL is now {current}."


def key_base(url: str) -> str:
    """The prefix that a store's URL adds to each key in the names of its objects; a folder adds none."""
    return "" if url.startswith("file:") else urlsplit(url).path[1:]
