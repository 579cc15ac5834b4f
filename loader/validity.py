"""How many of a feed's samples have too many N: lately, by the beginning of their ids, and whether their share jumped.

Every question is answered by an index and reads a bounded number of rows, however many there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet

from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt

DAY = timedelta(days=1)
BEFORE = timedelta(days=30)
IN_SERVER = (AttemptOutcome.INSERTED, AttemptOutcome.FOUND, AttemptOutcome.PRESENT, AttemptOutcome.UNPROVEN)
"""Outcomes of attempts after which the server holds the sample."""
JUMP_SHARE, JUMP_FACTOR, MIN_SAMPLES = 0.1, 2, 20
"""A jump: over this share of the last day's samples, over so many times the share before, of at least so many samples."""
MAX_ATTEMPTS = 20_000
"""Attempts before the last day that are counted, newest first."""
MAX_FILES = 10_000
"""Files whose ids are read, newest first."""
MAX_GROUPS = 10
MIN_GROUP = 5
"""Samples that a group needs to have a share."""
FIXED_LENGTH = 6
"""Characters of an id without a delimiter that make its group."""


@dataclass(frozen=True, slots=True)
class ShareJump:
    """The share of samples with too many N in the last day, and before."""

    invalid: int
    loaded: int
    before: float | None
    """None: nothing was loaded before."""

    @property
    def share(self) -> float:
        """Of the last day."""
        return self.invalid / self.loaded


@dataclass(frozen=True, slots=True)
class IdGroup:
    """Samples whose ids begin alike: of one run, or of one site."""

    prefix: str
    invalid: int
    loaded: int

    @property
    def percent(self) -> float:
        """Of its samples."""
        return 100 * self.invalid / self.loaded


def share_jump(feed: Feed, now: datetime, db: str, invalid: int) -> ShareJump | None:
    """Whether the share jumped, given the number of invalid samples of the last day.

    Counts attempts only up to the number that decides.
    """
    if invalid <= MIN_SAMPLES * JUMP_SHARE:
        return None
    attempts = LoadAttempt.objects.using(db).filter(feed=feed, outcome__in=IN_SERVER).order_by()
    limit = int(invalid / JUMP_SHARE) + 1
    loaded = max(invalid, attempts.filter(bucket_read_start_time__gte=now - DAY)[:limit].count())
    if loaded < MIN_SAMPLES or invalid <= loaded * JUMP_SHARE:
        return None
    older = LoadAttempt.objects.using(db).filter(
        feed=feed, bucket_read_start_time__lt=now - DAY, bucket_read_start_time__gte=now - DAY - BEFORE
    )
    # Two columns, which the index holds.
    columns = older.order_by("-bucket_read_start_time").values("bucket_read_start_time", "outcome")[:MAX_ATTEMPTS]
    newest = columns.aggregate(
        loaded=Count("outcome", filter=Q(outcome__in=IN_SERVER)), first=Min("bucket_read_start_time")
    )
    before = None
    if newest["loaded"]:
        rows = invalid_rows(feed, db).filter(done_at__gte=newest["first"], done_at__lt=now - DAY)
        before = min(1.0, rows.count() / newest["loaded"])
    jump = ShareJump(invalid, loaded, before)
    return jump if jump.share > JUMP_FACTOR * (before or 0) else None


def invalid_rows(feed: Feed, db: str = "default") -> QuerySet[BucketObject]:
    """A feed's samples with too many N; an index holds nothing else."""
    return BucketObject.objects.using(db).filter(feed=feed, result=LoadResult.INVALID)


@dataclass(frozen=True, slots=True)
class NewestFiles:
    """What the newest loaded files of a feed say about its samples."""

    invalid: int
    loaded: int
    since: datetime | None
    """When the oldest of them was written to the bucket."""
    groups: list[IdGroup]
    """Those with the largest shares, at most MAX_GROUPS."""

    @property
    def percent(self) -> float:
        """Share of samples with too many N."""
        return 100 * self.invalid / self.loaded if self.loaded else 0.0


def newest_files(feed: Feed) -> NewestFiles:
    """Of the newest loaded files: how many have too many N, by the beginning of their ids. One query, by index."""
    rows = BucketObject.objects.filter(feed=feed, state=ObjectState.LOADED).order_by("-created", "-pk")
    loaded: Counter[str] = Counter()
    invalid: Counter[str] = Counter()
    since = None
    for guid, seqid, result, created in rows.values_list("guid", "seqid", "result", "created")[:MAX_FILES]:
        prefix, since = id_prefix(guid or seqid), created
        loaded[prefix] += 1
        invalid[prefix] += result == LoadResult.INVALID
    groups = [IdGroup(prefix, number, loaded[prefix]) for prefix, number in invalid.items() if number]
    groups = [group for group in groups if group.loaded >= MIN_GROUP]
    groups.sort(key=lambda group: (-group.percent, -group.invalid, group.prefix))
    return NewestFiles(invalid.total(), loaded.total(), since, groups[:MAX_GROUPS])


def id_prefix(sample: str) -> str:
    """The beginning of an id that it shares with others: up to its last `-`, `_` or `.`, else its first characters."""
    cut = max(sample.rfind(delimiter) for delimiter in "-_.")
    return sample[: cut + 1] if cut > 0 else sample[:FIXED_LENGTH]
