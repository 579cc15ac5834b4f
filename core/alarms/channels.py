"""Channels for alarms: mail, a webhook, and a ping that shows that fnloader itself is alive (docs/alarms.md)."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from core.formatting import pluralize
from core.models import Alarm

HTTP_TIMEOUT = 15.0
MAX_SUBJECT_LENGTH = 150


class DeliveryFailed(Exception):
    """The receiver did not accept the message. Retry later."""


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
        """Sends one message. Raises DeliveryFailed."""


class MailChannel:
    """One mail with all changes."""

    name = "mail"
    always = False

    def is_set_up(self) -> bool:
        """ALARM_MAIL is set."""
        return bool(settings.ALARM_MAIL)

    def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One."""
        yield list(alarms)

    def send(self, alarms: list[Alarm]) -> None:
        """Sends one mail to all of ALARM_MAIL."""
        up = [alarm for alarm in alarms if alarm.is_up]
        summary = "alarm" if up else "resolved"
        if len(alarms) > 1:
            summary = f"{pluralize(len(up), 'alarm')}, {len(alarms) - len(up)} resolved"
        first = " ".join((up or alarms)[0].what.split())
        ordered = sorted(alarms, key=lambda alarm: (not alarm.is_up, alarm.level != "wrong"))
        footer = f"-- \nfnloader on {settings.HOST_NAME} {settings.SITE_URL}"
        message = EmailMessage(
            f"[fnloader] {summary}: {first}"[:MAX_SUBJECT_LENGTH],
            "\n\n".join([*map(_paragraph, ordered), footer]),
            to=settings.ALARM_MAIL,
        )
        try:
            message.send()
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error


class WebhookChannel:
    """One POST of JSON for each change."""

    name = "webhook"
    always = False

    def is_set_up(self) -> bool:
        """ALARM_WEBHOOK_URL is set."""
        return bool(settings.ALARM_WEBHOOK_URL)

    def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One for each alarm."""
        for alarm in alarms:
            yield [alarm]

    def send(self, alarms: list[Alarm]) -> None:
        """Posts the alarm; a status of 200 to 299 means accepted."""
        _request("POST", settings.ALARM_WEBHOOK_URL, webhook_payload(alarms[0]))


class PingChannel:
    """A GET on each run: when it stops, a service such as healthchecks.io notifies somebody."""

    name = "ping"
    always = True

    def is_set_up(self) -> bool:
        """ALARM_PING_URL is set."""
        return bool(settings.ALARM_PING_URL)

    def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One, whatever the alarms are: the other channels carry them."""
        yield list(alarms)

    def send(self, _alarms: list[Alarm]) -> None:
        """Requests the URL."""
        _request("GET", settings.ALARM_PING_URL, None)


CHANNELS: tuple[Channel, ...] = (MailChannel(), WebhookChannel(), PingChannel())


def webhook_payload(alarm: Alarm) -> dict[str, Any]:
    """The JSON document of a webhook."""
    event = "raised" if alarm.is_up else "recovered"
    return {
        "id": f"{alarm.pk}-{alarm.times}-{event}",
        "event": event,
        "site": settings.SITE_URL,
        "host": settings.HOST_NAME,
        "kind": alarm.kind,
        "about": alarm.about,
        "level": alarm.level,
        "what": alarm.what,
        "why": alarm.why,
        "way_out": alarm.way_out,
        "since": alarm.since and alarm.since.isoformat(),
        "raised_at": alarm.raised_at.isoformat(),
        "recovered_at": alarm.recovered_at and alarm.recovered_at.isoformat(),
    }


def _paragraph(alarm: Alarm) -> str:
    """An alarm in a mail."""

    def local(when: datetime) -> str:
        return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}"

    if alarm.recovered_at:
        return f"RESOLVED: {alarm.what}\n    since {local(alarm.recovered_at)}, raised {local(alarm.raised_at)}"
    since = f"since {local(alarm.since)}" if alarm.since else ""
    lines = (f"{alarm.get_level_display().upper()}: {alarm.what}", since, alarm.why, alarm.way_out)
    return "\n    ".join(line for line in lines if line)


def _request(method: str, url: str, body: dict[str, Any] | None) -> None:
    import requests

    try:
        # Redirects are not followed: the response must come from the receiver itself.
        response = requests.request(
            method,
            url,
            json=body,
            timeout=HTTP_TIMEOUT,
            allow_redirects=False,
            headers={"User-Agent": "fnloader"},
            stream=True,
        )
    except requests.RequestException as error:
        # The text of the error has the URL, which may hold a secret.
        raise DeliveryFailed(f"No response ({type(error).__name__})") from None
    with response:
        if not 200 <= response.status_code < 300:
            raise DeliveryFailed(f"HTTP {response.status_code}")
