"""Which store a batch is in, and how its keys stand there."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from batches.models import Batch
from core.exceptions import OperationRefused


def store_url(batch: Batch) -> str:
    """Where it was uploaded to; where nothing was, BATCH_STORE_URL. Raises OperationRefused when there is neither."""
    if url := batch.store_url or settings.BATCH_STORE_URL:
        return str(url)
    raise OperationRefused(
        f"BATCH_STORE_URL is not set, so nobody knows where {batch.bid} is to be uploaded or looked for."
        " Set it in the environment or in .env, for example BATCH_STORE_URL=s3://fast-import-bucket."
    )


def store_changed_note(batch: Batch) -> str:
    """One line when BATCH_STORE_URL is another store than the batch's own; else empty."""
    now = str(settings.BATCH_STORE_URL)
    if not batch.store_url or not now or now.rstrip("/") == batch.store_url.rstrip("/"):
        return ""
    return (
        f"{batch.bid} was uploaded to {batch.store_url} and is looked for there, though BATCH_STORE_URL is {now} now."
    )


def key_base(url: str) -> str:
    """The prefix that a store's URL puts before each key in the names of its objects; a folder has none."""
    return "" if url.startswith("file:") else urlsplit(url).path[1:]
