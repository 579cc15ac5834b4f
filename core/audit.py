"""The audit trail: who did what to which rows. The admin shows it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest

MAX_ROWS = 1000
"""Rows of one action that are recorded."""


def log_action(request: HttpRequest, rows: Iterable[Model], text: str) -> None:
    """Records what the user of the request did to these rows."""
    if isinstance(request.user, User):
        LogEntry.objects.log_actions(request.user.pk, list(islice(rows, MAX_ROWS)), CHANGE, change_message=text)
