"""Alarms: what `fnstatus` finds, told on change only, and told again when it is over (docs/alarms.md).

Two steps that know nothing of each other: `note` writes what is up, and `deliver` tells each channel what it was not told
yet. A channel that fails is tried again, later and later, without telling the others twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from core.alarms.channels import CHANNELS, Channel, Undeliverable
from core.concerns import Concern
from core.models import Alarm, AlarmChannel, AlarmNotice

BUSY = timedelta(minutes=3)
FIRST_BACK_OFF = 60.0
LONGEST_BACK_OFF = 3600.0
LONGEST = 1000

log = logging.getLogger("fnloader.alarms")


@dataclass(frozen=True)
class Noted:
    """What changed with one look."""

    raised: int
    recovered: int
    up: int


def record_changes(concerns: Iterable[Concern]) -> Noted:
    """Writes which matters came up and which are over."""
    now = timezone.now()
    raised, seen = 0, set()
    with transaction.atomic():
        known = {alarm.key: alarm for alarm in Alarm.objects.filter(key__in=[_key(one) for one in concerns])}
        for concern in concerns:
            key = _key(concern)
            seen.add(key)
            raised += _write(known.get(key), key, concern) if key not in known or not known[key].is_up else 0
            if key in known and known[key].is_up:
                Alarm.objects.filter(key=key).update(**_said(concern))
        recovered = Alarm.objects.filter(recovered_at=None).exclude(key__in=seen).update(recovered_at=now)
    return Noted(raised, recovered, len(seen))


def _write(known: Alarm | None, key: str, concern: Concern) -> int:
    now = timezone.now()
    if known:
        rows = Alarm.objects.filter(pk=known.pk).exclude(recovered_at=None)
        return rows.update(**_said(concern), raised_at=now, recovered_at=None, times=F("times") + 1)
    about = concern.about[:520]
    Alarm.objects.get_or_create(
        key=key, defaults={"kind": concern.kind, "about": about, "raised_at": now, **_said(concern)}
    )
    return 1


def deliver(channels: Sequence[Channel] = CHANNELS) -> dict[str, str]:
    """Tells every channel that is set up what it was not told yet; returns what happened, by channel."""
    return {channel.name: _deliver(channel) for channel in channels if channel.is_set_up()}


def _deliver(channel: Channel) -> str:
    row, _ = AlarmChannel.objects.get_or_create(name=channel.name)
    # Several jobs may be here at once: one of them sends.
    free = Q(busy_until=None) | Q(busy_until__lt=Now())
    due = Q(next_try_at=None) | Q(next_try_at__lte=Now())
    ours = AlarmChannel.objects.filter(pk=row.pk)
    if not ours.filter(free, due).update(busy_until=Now() + BUSY):
        return "not now"
    try:
        sent = _send(channel, row)
    except Undeliverable as error:
        log.warning("alarms can't be sent by %s: %s", channel.name, error)
        wait = min(FIRST_BACK_OFF * 2 ** min(row.tries, 10), LONGEST_BACK_OFF)
        ours.update(
            busy_until=None,
            failing_since=row.failing_since or Now(),
            error=str(error)[:LONGEST],
            tries=F("tries") + 1,
            next_try_at=Now() + timedelta(seconds=wait),
        )
        return f"failed: {error}"
    works = {"failing_since": None, "error": "", "tries": 0, "next_try_at": None}
    ours.update(busy_until=None, **(works | {"sent_at": Now()} if sent or channel.always else {}))
    return f"{sent} sent"


def _send(channel: Channel, row: AlarmChannel) -> int:
    """Sends what is pending, in one go or one by one as the channel likes; each is noted as soon as it was taken."""
    pending = _pending(row)
    if not pending and not channel.always:
        return 0
    for some in channel.parcels(pending):
        channel.send(some)
        for alarm in some:
            _mark_told(alarm, row)
    return len(pending)


def _pending(row: AlarmChannel) -> list[Alarm]:
    """Alarms that are up and of which it was not told, and those that are over of which it knows that they were up."""
    notices = {notice.alarm_id: notice for notice in AlarmNotice.objects.filter(channel=row)}
    recent = Alarm.objects.filter(Q(recovered_at=None) | Q(alarmnotice__channel=row)).distinct()
    found = []
    for alarm in recent.order_by("raised_at", "pk"):
        notice = notices.get(alarm.pk)
        told = (notice.raised, notice.recovered) if notice else (0, 0)
        news = told[0] < alarm.times if alarm.is_up else told[0] == alarm.times > told[1]
        if news:
            found.append(alarm)
    return found


def _mark_told(alarm: Alarm, row: AlarmChannel) -> None:
    told = {"told_at": timezone.now(), "raised" if alarm.is_up else "recovered": alarm.times}
    AlarmNotice.objects.update_or_create(alarm=alarm, channel=row, defaults=told)


def _said(concern: Concern) -> dict[str, object]:
    return {
        "level": concern.word,
        "what": concern.what[:LONGEST],
        "why": concern.why[:LONGEST],
        "way_out": f"{concern.way_out} {concern.command}".strip()[:LONGEST],
        "since": concern.since,
    }


def _key(concern: Concern) -> str:
    return hashlib.blake2b(f"{concern.kind}\0{concern.about}".encode(), digest_size=16).hexdigest()
