"""Querysets behind the list pages: rows with what is reckoned for each, in SQL, so that it sorts, filters and exports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Case, CharField, Count, Min, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from loader.choices import Stands
from loader.models import BucketObject, Feed, LoadAttempt, State

HOUR = timedelta(hours=1)
IN_SERVER = (200, 201)


def feeds() -> QuerySet[Feed]:
    """Feeds with `stands`, `waiting`, `oldest`, `rejected` (not acknowledged) and `rate` (samples in the last hour).

    Each is a look into an index for each feed; what is loaded is not counted, for it grows for ever.
    """
    waiting = BucketObject.objects.filter(state__in=(State.WAITING, State.LOADING))
    rejected = BucketObject.objects.filter(state=State.REJECTED, acknowledged_at=None)
    inserted = LoadAttempt.objects.filter(insert_status_code__in=IN_SERVER, bucket_read_start_time__gte=Now() - HOUR)
    return Feed.objects.select_related("server").annotate(
        stands=_stands(),
        waiting=number_of(waiting),
        oldest=of_feed(waiting.filter(state=State.WAITING), Min("created")),
        rejected=number_of(rejected),
        rate=number_of(inserted),
    )


def _stands() -> Case:
    return Case(
        When(paused_at__isnull=False, then=Value(Stands.PAUSED.value)),
        When(server__circuit_open_since__isnull=False, then=Value(Stands.AWAY.value)),
        When(checked_at=None, then=Value(Stands.NEVER.value)),
        default=Value(Stands.IN_ORDER.value),
        output_field=CharField(),
    )


def number_of(rows: QuerySet[Any]) -> Coalesce:
    """How many of these rows each feed has, for a queryset of feeds."""
    return Coalesce(of_feed(rows, Count("*")), 0)


def of_feed(rows: QuerySet[Any], reckoned: Any) -> Subquery:  # noqa: ANN401 - any aggregate
    """What is reckoned of each feed's rows; one look into an index for each feed, where one begins with it."""
    grouped = rows.filter(feed=OuterRef("pk")).order_by().values("feed").annotate(it=reckoned)
    return Subquery(grouped.values("it"))
