"""How many objects each feed has in each state: the one place that counts them, by the index on feed and state."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Min

from loader.models import BucketObject


class Counted(NamedTuple):
    """Objects of a feed in one state, and when the earliest of them was created."""

    number: int = 0
    earliest: datetime | None = None


def objects_by_state(db: str = "default") -> dict[int, dict[str, Counted]]:
    """By key of the feed and by state."""
    found: dict[int, dict[str, Counted]] = defaultdict(dict)
    rows = BucketObject.objects.using(db).order_by().values_list("feed", "state")
    for feed, state, number, earliest in rows.annotate(n=Count("pk"), first=Min("created")):
        found[feed][state] = Counted(number, earliest)
    return found
