"""What every channel for alarms is, and what they share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.utils import timezone

from core.formatting import pluralize, printable
from core.models import Alarm

MAX_ANSWER_LENGTH = 200
"""Characters of a receiver's answer that are shown."""
_MIN_SECRET_LENGTH = 6


class DeliveryFailed(Exception):
    """The receiver did not accept the message. Retry later."""


class PartlyDelivered(Exception):
    """Some recipients of the message were refused; the others have it, so it is not sent again."""


class Channel(Protocol):
    """One way to send alarms."""

    name: str
    always: bool
    """Whether it also sends when nothing has changed."""

    def is_set_up(self) -> bool:
        """Whether its settings are there."""

    def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """The alarms of each message."""

    def send(self, alarms: list[Alarm]) -> None:
        """Sends one message. Raises DeliveryFailed or PartlyDelivered."""


def summary(alarms: Sequence[Alarm]) -> str:
    """The subject of a message with these alarms."""
    up = [alarm for alarm in alarms if alarm.is_up]
    kind = "alarm" if up else "resolved"
    if len(alarms) > 1:
        kind = f"{pluralize(len(up), 'alarm')}, {len(alarms) - len(up)} resolved"
    first = " ".join((up or alarms)[0].what.split())
    return f"[fnloader] {kind}: {printable(first)}"


def body(alarms: Sequence[Alarm]) -> str:
    """The alarms as text, errors first and what is resolved last."""

    def local(when: datetime) -> str:
        return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}"

    paragraphs = []
    for alarm in sorted(alarms, key=lambda alarm: (not alarm.is_up, alarm.level != "wrong")):
        since = f"since {local(alarm.since)}" if alarm.since else ""
        title, details = alarm.get_level_display().upper(), [since, printable(alarm.why), printable(alarm.way_out)]
        if alarm.recovered_at:
            title, details = "RESOLVED", [f"since {local(alarm.recovered_at)}, raised {local(alarm.raised_at)}"]
        paragraphs.append("\n    ".join([f"{title}: {printable(alarm.what)}", *filter(None, details)]))
    footer = f"-- \nfnloader on {settings.HOST_NAME} {settings.SITE_URL}"
    return "\n\n".join([*paragraphs, footer])


def answer_text(answer: bytes | str, url: str) -> str:
    """What a receiver answered, as one line of limited length without any part of its URL, which may hold a secret."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    text = " ".join(text.split())
    parts = urlsplit(url)
    secrets = {url, parts.path, parts.query, *re.split(r"[/?&=:@,]", url)}
    for secret in sorted(secrets | {unquote(secret) for secret in secrets}, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_LENGTH and secret != parts.hostname:
            text = text.replace(secret, "…")
    return printable(text)[:MAX_ANSWER_LENGTH]
