"""Counts refusals in a row: a server that refuses every sample for its length is the wrong server."""

from __future__ import annotations

from itertools import islice

from loader.choices import AttemptOutcome
from loader.feeds.manage import pause_feeds
from loader.feeds.rejections import undo
from loader.fn4.responses import blames_server
from loader.models import BucketObject, Feed, LoadAttempt


class RefusalCounter:
    """Counts how often in a row a server refused samples of a feed.

    The count is in the feed's row, so it lasts from run to run. Its user holds the server's lease.
    """

    def __init__(self, feed: Feed, db: str) -> None:
        self._feed = Feed.objects.using(db).filter(pk=feed.pk)
        self._db = db
        self.in_row, self.limit = self._feed.values_list("refusals_in_row", "refusals_limit").get()

    def success(self) -> None:
        """A sample is in the server."""
        if self.in_row:
            self._save(0)

    def refused(self, text: str) -> str:
        """The server refused a sample with that text. Returns why the feed is paused now, or nothing.

        If it is paused, none of these files stays rejected: they wait for the right server. What is only the file's fault
        does not count.
        """
        if not blames_server(text):
            return ""
        self._save(self.in_row + 1)
        if not self.limit or self.in_row < self.limit:
            return ""
        reason = (
            f"The server refused {self.in_row} samples in a row: check that it is the right one. Last answer: {text}"
        )
        pause_feeds(self._feed, reason)
        refused = LoadAttempt.objects.using(self._db).filter(
            feed=self._feed.get(), outcome=AttemptOutcome.REJECTED, insert_start_time__isnull=False
        )
        rows = refused.order_by("-gp_int_id").values_list("bucket_object", "message").iterator(chunk_size=200)
        counted = islice((key for key, message in rows if blames_server(message or "")), self.in_row)
        undo(BucketObject.objects.using(self._db).filter(pk__in=list(counted)), self._db)
        self._save(0)
        return reason

    def _save(self, in_row: int) -> None:
        self.in_row = in_row
        self._feed.update(refusals_in_row=in_row)
