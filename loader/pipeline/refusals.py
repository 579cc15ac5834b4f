"""Counts refusals in a row: a server that refuses every sample for its length is the wrong server.

So is one whose reference has another length than every file of a feed: these are not sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from loader.choices import AttemptOutcome
from loader.feeds.manage import pause_feeds
from loader.feeds.rejections import undo
from loader.fn4.responses import blames_server
from loader.models import BucketObject, Feed, LoadAttempt
from loader.pipeline.prefetch import Fetched
from loader.pipeline.server_check import WRONG_LENGTH


class RefusalCounter:
    """Counts how often in a row a server refused samples of a feed.

    The count is in the feed's row, so it lasts from run to run. Its user holds the server's lease.
    """

    def __init__(self, feed: Feed, db: str) -> None:
        self._feed = Feed.objects.using(db).filter(pk=feed.pk)
        self._db = db
        self.in_row, self.limit = self._feed.values_list("refusals_in_row", "refusals_limit").get()
        self.undone = 0
        """How many files wait again, if the feed was paused."""
        self._lengths_known = False

    def success(self) -> None:
        """A sample is in the server. If lengths are compared ahead, `count_lengths` has counted it, and files behind it."""
        if self.in_row and not self._lengths_known:
            self._save(0)

    def refused(self, text: str) -> str:
        """The server refused a sample with that text. Returns why the feed is paused now, or nothing.

        If it is paused, none of these files stays rejected: they wait for the right server. What is only the file's fault
        does not count.
        """
        if not blames_server(text):
            return ""
        self._save(self.in_row + 1)
        return self._paused(f"The server refused {self.in_row} samples in a row", f"Last answer: {text}")

    def count_lengths(self, batch: Iterable[Fetched]) -> str:
        """The same for files whose length was compared with that of the server's reference, in their order: one that fits
        begins a new row, unless the row was long enough."""
        in_row, last, self._lengths_known = self.in_row, "", True
        for fetched in batch:
            if fetched.has_wrong_length:
                in_row, last = in_row + 1, fetched.problem
            elif fetched.sample and not (last and self.limit and in_row >= self.limit):
                in_row, last = 0, ""
        if in_row != self.in_row:
            self._save(in_row)
        if not last:
            return ""
        return self._paused(f"{in_row} files in a row have another length than the server's reference", f"Last: {last}")

    def _paused(self, what: str, last: str) -> str:
        if not self.limit or self.in_row < self.limit:
            return ""
        reason = f"{what}: check that it is the right one. {last}"
        pause_feeds(self._feed, reason)
        rejected = LoadAttempt.objects.using(self._db).filter(feed=self._feed.get(), outcome=AttemptOutcome.REJECTED)
        rows = rejected.order_by("-gp_int_id").values_list("bucket_object", "message", "insert_start_time")
        counted = (
            key
            for key, message, sent in rows.iterator(chunk_size=200)
            if (blames_server(message or "") if sent else WRONG_LENGTH.fullmatch(message or ""))
        )
        self.undone = undo(
            BucketObject.objects.using(self._db).filter(pk__in=list(islice(counted, self.in_row))), self._db
        )
        self._save(0)
        return reason

    def _save(self, in_row: int) -> None:
        self.in_row = in_row
        self._feed.update(refusals_in_row=in_row)
