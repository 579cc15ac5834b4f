"""The media pause: records that bring a media file are sent slowly, because their ingest fetches that file from elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Semaphore

from django.conf import settings

from batches.models import Batch

COLUMN = "mediafileuri"
_SLICE = 0.1


class MediaThrottle:
    """Which records of a batch bring media, and the pause before each of them. Threads share it."""

    def __init__(self, batch: Batch) -> None:
        columns: list[str] = json.loads(batch.source_columns)
        self._index = columns.index(COLUMN) if COLUMN in columns else None
        self._few = Semaphore(settings.MEDIA_UPLOAD_THREADS)

    @property
    def possible(self) -> bool:
        """Whether the batch has the column at all: else nobody needs to look at its rows."""
        return self._index is not None

    def concerns(self, source: str) -> bool:
        """Whether the record of this row (a JSON list, as BatchRecord.source) brings media."""
        return self._index is not None and bool(json.loads(source)[self._index].strip())

    @contextmanager
    def before(self, *, media: bool, stopped: Callable[[], bool]) -> Iterator[None]:
        """Waits, and lets few threads at a time through, when the record brings media; the wait ends when it is `stopped`."""
        if not media:
            yield
            return
        with self._few:
            end = time.monotonic() + settings.MEDIA_UPLOAD_PAUSE
            while (left := end - time.monotonic()) > 0 and not stopped():
                time.sleep(min(left, _SLICE))
            yield
