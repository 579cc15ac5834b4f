"""A server is asked about its engine at most once a minute, by all processes together: it writes a row for each answer."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from core.due import older_than
from loader.choices import CircuitKind
from loader.models import Server

ASK_EVERY = timedelta(seconds=60)


def claim_question(server: Server, db: str) -> bool:
    """Whether it may be asked now. One conditional UPDATE: the caller that gets True asks."""
    return bool(Server.objects.using(db).filter(older_than("asked_at", ASK_EVERY), pk=server.pk).update(asked_at=Now()))


def seconds_until_asked(server: Server, db: str) -> float | None:
    """Seconds until a server that refuses every insert may be asked again; None if it does not refuse them."""
    rows = Server.objects.using(db).filter(
        pk=server.pk, circuit_open_since__isnull=False, circuit_kind=CircuitKind.REFUSES
    )
    row = rows.annotate(now=Now()).values_list("asked_at", "now").first()
    if not row:
        return None
    asked_at, now = row
    return max(0.0, (asked_at + ASK_EVERY - now).total_seconds()) if asked_at else 0.0
