"""Queries of feeds and their objects."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, CharField, Count, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from loader.choices import FeedState, ObjectState
from loader.fn4.responses import IN_SERVER
from loader.models import BucketObject, Feed, LoadAttempt

HOUR = timedelta(hours=1)
NOT_IN_SERVER = (Q(insert_status_code__lt=min(IN_SERVER)), Q(insert_status_code__gt=max(IN_SERVER)))
"""Other answers, as two ranges of an index, so that successes are not read."""


def feeds_with_state() -> QuerySet[Feed]:
    """Feeds with `stands`, `waiting`, `oldest`, `rejected` (not acknowledged) and `rate` (samples in the last hour).

    Each is read from an index for each feed. Loaded objects are not counted: their number grows without limit.
    """
    waiting = BucketObject.objects.filter(state__in=(ObjectState.WAITING, ObjectState.LOADING))
    rejected = BucketObject.objects.filter(state=ObjectState.REJECTED, acknowledged_at=None)
    inserted = LoadAttempt.objects.filter(insert_status_code__in=IN_SERVER, bucket_read_start_time__gte=Now() - HOUR)
    return Feed.objects.select_related("server").annotate(
        stands=Case(
            When(paused_at__isnull=False, then=Value(FeedState.PAUSED.value)),
            When(server__circuit_open_since__isnull=False, then=Value(FeedState.UNAVAILABLE.value)),
            When(checked_at=None, then=Value(FeedState.NEVER_CHECKED.value)),
            default=Value(FeedState.OK.value),
            output_field=CharField(),
        ),
        waiting=number_of(waiting),
        oldest=of_feed(waiting.filter(state=ObjectState.WAITING), Min("created")),
        rejected=number_of(rejected),
        rate=number_of(inserted),
    )


def number_of(rows: QuerySet[Any]) -> Coalesce:
    """The number of these rows of each feed, for a queryset of feeds."""
    return Coalesce(of_feed(rows, Count("*")), 0)


def of_feed(rows: QuerySet[Any], aggregate: Any) -> Subquery:  # noqa: ANN401 - any aggregate
    """An aggregate of these rows of each feed; read from an index, if one begins with the feed."""
    grouped = rows.filter(feed=OuterRef("pk")).order_by().values("feed").annotate(it=aggregate)
    return Subquery(grouped.values("it"))


class StateCount(NamedTuple):
    """The number of rows, and the time of the earliest."""

    number: int = 0
    earliest: datetime | None = None


def objects_by_state(db: str = "default") -> dict[int, dict[str, StateCount]]:
    """By key of the feed and by state."""
    found: dict[int, dict[str, StateCount]] = defaultdict(dict)
    rows = BucketObject.objects.using(db).order_by().values_list("feed", "state")
    for feed, state, number, earliest in rows.annotate(n=Count("pk"), first=Min("created")):
        found[feed][state] = StateCount(number, earliest)
    return found
