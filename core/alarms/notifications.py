"""Alarms: what `fnstatus` finds, sent once when it comes up and once when it is resolved (docs/alarms.md).

Two independent steps: `record_changes` writes what is up, and `deliver` sends each channel what it has not been sent yet. A
channel that fails is retried later and later; the others get nothing twice.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from core.alarms.base import Channel, DeliveryFailed, PartlyDelivered
from core.alarms.channels import all_channels
from core.concerns import Concern, Level
from core.digests import digest
from core.due import reached
from core.models import Alarm, AlarmChannel, AlarmNotice

SEND_TIMEOUT = timedelta(minutes=3)
FIRST_RETRY_DELAY = 60.0
MAX_RETRY_DELAY = 3600.0
MAX_TEXT_LENGTH = 1000
_WORKING: dict[str, Any] = {"failing_since": None, "error": "", "tries": 0, "next_try_at": None}

log = logging.getLogger("fnloader.alarms")


@dataclass(frozen=True)
class AlarmChanges:
    """What one run changed, and how many alarms are up now."""

    raised: int
    recovered: int
    up: int


def record_changes(concerns: Iterable[Concern]) -> AlarmChanges:
    """Raises an alarm for each new concern, and marks those without a concern as recovered."""
    now, raised = timezone.now(), 0
    by_key = {digest(concern.kind, concern.about): concern for concern in concerns}
    with transaction.atomic():
        alarms = {alarm.key: alarm for alarm in Alarm.objects.filter(key__in=by_key)}
        for key, concern in by_key.items():
            texts = {
                "level": concern.level.code,
                "what": concern.what[:MAX_TEXT_LENGTH],
                "why": concern.why[:MAX_TEXT_LENGTH],
                "way_out": f"{concern.way_out} {concern.command}".strip()[:MAX_TEXT_LENGTH],
                "since": concern.since,
            }
            alarm, row = alarms.get(key), Alarm.objects.filter(key=key)
            if alarm is None:
                identity = {"kind": concern.kind, "about": concern.about[:520], "raised_at": now}
                Alarm.objects.get_or_create(key=key, defaults=identity | texts)
                raised += 1
            elif alarm.is_up:
                row.update(**texts)
            else:
                again = row.exclude(recovered_at=None)
                raised += again.update(**texts, raised_at=now, recovered_at=None, times=F("times") + 1)
        recovered = Alarm.objects.filter(recovered_at=None).exclude(key__in=by_key).update(recovered_at=now)
    return AlarmChanges(raised, recovered, len(by_key))


def deliver(channels: Sequence[Channel] | None = None) -> dict[str, str]:
    """Sends every channel what it has not been sent yet; returns the result of each. All are tried, whatever one raises."""
    return {channel.name: _deliver_to(channel) for channel in (all_channels() if channels is None else channels)}


def send_test(channel: Channel) -> str:
    """Sends a test alarm, and returns an error, or nothing; a channel that accepts it counts as working again."""
    now = timezone.now()
    alarm = Alarm(
        pk=0,
        kind="test",
        level=Level.WARNING.code,
        what="Test of alarms",
        why="Somebody ran: manage.py alarm test",
        way_out="Nothing to do.",
        raised_at=now,
        times=int(now.timestamp()),
    )
    row = AlarmChannel.objects.get_or_create(name=channel.name)[0]
    error, _ = _attempt(channel, [alarm])
    if not error:
        AlarmChannel.objects.filter(pk=row.pk).update(**_WORKING, sent_at=Now())
    return error


def _attempt(channel: Channel, group: list[Alarm]) -> tuple[str, bool]:
    """Sends one message; returns an error, or nothing, and whether it must be sent again. Never raises."""
    try:
        channel.send(group)
    except PartlyDelivered as error:
        return str(error), False
    except DeliveryFailed as error:
        return str(error), True
    except Exception as error:  # noqa: BLE001 - a library of one channel must not keep others from being tried
        # Without its text, which may hold a secret.
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}", True
    return "", False


def _deliver_to(channel: Channel) -> str:
    channel_row, _ = AlarmChannel.objects.get_or_create(name=channel.name)
    row = AlarmChannel.objects.filter(pk=channel_row.pk)
    # Several jobs may get here at once: only one of them sends.
    free, due = reached("busy_until", SEND_TIMEOUT), reached("next_try_at", _retry_delay(channel_row.tries - 1))
    if not row.filter(free, due).update(busy_until=Now() + SEND_TIMEOUT):
        return "skipped"
    pending = _undelivered(channel_row)
    refused = ""
    for group in channel.groups(pending) if pending or channel.always else ():
        error, again = _attempt(channel, group)
        if error:
            log.warning("delivery of alarms by %s failed: %s", channel.name, error)
        if again:
            _record_failure(channel_row, error, retry=True)
            return f"failed: {error}"
        refused = error or refused
        for alarm in group:
            sent = {"told_at": timezone.now(), "raised" if alarm.is_up else "recovered": alarm.times}
            AlarmNotice.objects.update_or_create(alarm=alarm, channel=channel_row, defaults=sent)
    if refused:
        _record_failure(channel_row, refused, retry=False)
        return f"{len(pending)} sent, but {refused}"
    row.update(busy_until=None, **(_WORKING | {"sent_at": Now()} if pending or channel.always else {}))
    return f"{len(pending)} sent"


def _record_failure(channel: AlarmChannel, error: str, *, retry: bool) -> None:
    """Shown by `fnstatus` until a message reaches everybody."""
    AlarmChannel.objects.filter(pk=channel.pk).update(
        busy_until=None,
        failing_since=channel.failing_since or Now(),
        error=error[:MAX_TEXT_LENGTH],
        **(
            {"tries": F("tries") + 1, "next_try_at": Now() + _retry_delay(channel.tries)}
            if retry
            else {"sent_at": Now(), "tries": 0, "next_try_at": None}
        ),
    )


def _retry_delay(tries: int) -> timedelta:
    """How long to wait after so many failures and one more."""
    return timedelta(seconds=min(FIRST_RETRY_DELAY * 2 ** max(0, min(tries, 10)), MAX_RETRY_DELAY))


def _undelivered(channel: AlarmChannel) -> list[Alarm]:
    """Alarms that are up and were not sent, and resolved ones that were sent only as up."""
    notices = {notice.alarm_id: notice for notice in AlarmNotice.objects.filter(channel=channel)}
    candidates = Alarm.objects.filter(Q(recovered_at=None) | Q(alarmnotice__channel=channel)).distinct()
    undelivered = []
    for alarm in candidates.order_by("raised_at", "pk"):
        notice = notices.get(alarm.pk)
        raised, recovered = (notice.raised, notice.recovered) if notice else (0, 0)
        if raised < alarm.times if alarm.is_up else raised == alarm.times > recovered:
            undelivered.append(alarm)
    return undelivered
