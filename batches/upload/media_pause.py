"""The media pause: records with a media file are sent slowly, because their ingest fetches that file from elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Semaphore

from django.conf import settings

from batches.models import Batch

MEDIA_COLUMN = "mediafileuri"
SLEEP_SLICE = 0.1


class MediaThrottle:
    """Which records of a batch have media, and the pause before each of them. Threads share it."""

    def __init__(self, batch: Batch) -> None:
        columns: list[str] = json.loads(batch.source_columns)
        self._index = columns.index(MEDIA_COLUMN) if MEDIA_COLUMN in columns else None
        self._threads = Semaphore(settings.MEDIA_UPLOAD_THREADS)

    @property
    def is_needed(self) -> bool:
        """Whether the batch has the column at all; otherwise its rows need not be read."""
        return self._index is not None

    def has_media(self, source: str) -> bool:
        """Whether the record of this row (a JSON list, as BatchRecord.source) has media."""
        return self._index is not None and bool(json.loads(source)[self._index].strip())

    @contextmanager
    def slot(self, stopped: Callable[[], bool]) -> Iterator[None]:
        """For a record with media: admits a few threads at a time, after a pause, which ends early when `stopped`."""
        with self._threads:
            end = time.monotonic() + settings.MEDIA_UPLOAD_PAUSE
            while (remaining := end - time.monotonic()) > 0 and not stopped():
                time.sleep(min(remaining, SLEEP_SLICE))
            yield
