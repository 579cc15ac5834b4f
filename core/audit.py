"""The audit trail, which the admin shows: who did what to which rows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest

MOST_NOTED = 1000
"""Rows of one act that stand in the audit trail each."""


def log_action(request: HttpRequest, rows: Iterable[Model], text: str) -> None:
    """Writes to the audit trail, which the admin shows: who did what to which rows."""
    if isinstance(request.user, User):
        LogEntry.objects.log_actions(request.user.pk, list(islice(rows, MOST_NOTED)), CHANGE, change_message=text)
