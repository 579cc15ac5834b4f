"""The ways out for alarms: mail, a webhook, and a ping that says that fnloader itself lives (docs/alarms.md)."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from core.formatting import pluralize
from core.models import Alarm

SECONDS = 15.0
LONGEST_SUBJECT = 150


class Undeliverable(Exception):
    """The receiver did not take it: try again later."""


class Channel(Protocol):
    """One way out."""

    name: str
    always: bool
    """Whether it is used when there is nothing to tell, too."""

    def is_set_up(self) -> bool:
        """Whether its settings are there."""

    def parcels(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """What is sent together."""

    def send(self, alarms: list[Alarm]) -> None:
        """Sends one parcel. Raises Undeliverable."""


class MailChannel:
    """One mail with all that changed."""

    name = "mail"
    always = False

    def is_set_up(self) -> bool:
        """ALARM_MAIL names somebody."""
        return bool(settings.ALARM_MAIL)

    def parcels(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """All at once."""
        yield list(alarms)

    def send(self, alarms: list[Alarm]) -> None:
        """Sends one mail to all of ALARM_MAIL."""
        message = EmailMessage(_subject(alarms), _text(alarms), to=settings.ALARM_MAIL)
        try:
            message.send()
        except (OSError, smtplib.SMTPException) as error:
            raise Undeliverable(f"the mail server did not take it ({_said(error)})") from error


class WebhookChannel:
    """One POST of JSON for each change."""

    name = "webhook"
    always = False

    def is_set_up(self) -> bool:
        """ALARM_WEBHOOK_URL is set."""
        return bool(settings.ALARM_WEBHOOK_URL)

    def parcels(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One by one."""
        for alarm in alarms:
            yield [alarm]

    def send(self, alarms: list[Alarm]) -> None:
        """Any answer of 200 to 299 means that it was taken."""
        _request("POST", settings.ALARM_WEBHOOK_URL, event(alarms[0]))


class PingChannel:
    """A GET with every look: when it stays away, a service such as healthchecks.io tells somebody."""

    name = "ping"
    always = True

    def is_set_up(self) -> bool:
        """ALARM_PING_URL is set."""
        return bool(settings.ALARM_PING_URL)

    def parcels(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One, and nothing in it: what is up is for the others to tell."""
        yield list(alarms)

    def send(self, _alarms: list[Alarm]) -> None:
        """Asks for the URL."""
        _request("GET", settings.ALARM_PING_URL, None)


CHANNELS: tuple[Channel, ...] = (MailChannel(), WebhookChannel(), PingChannel())


def event(alarm: Alarm) -> dict[str, Any]:
    """What a webhook gets."""
    happened = "raised" if alarm.is_up else "recovered"
    return {
        "id": f"{alarm.pk}-{alarm.times}-{happened}",
        "event": happened,
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


def _subject(alarms: list[Alarm]) -> str:
    up = [alarm for alarm in alarms if alarm.is_up]
    first = " ".join((up or alarms)[0].what.split())
    numbers = (
        f"{pluralize(len(up), 'alarm')}, {len(alarms) - len(up)} over" if len(alarms) > 1 else "alarm" if up else "over"
    )
    return f"[fnloader] {numbers}: {first}"[:LONGEST_SUBJECT]


def _text(alarms: list[Alarm]) -> str:
    parts = [_paragraph(alarm) for alarm in sorted(alarms, key=lambda alarm: (not alarm.is_up, alarm.level != "wrong"))]
    return "\n\n".join([*parts, f"-- \nfnloader on {settings.HOST_NAME} {settings.SITE_URL}"])


def _paragraph(alarm: Alarm) -> str:
    if not alarm.is_up:
        return f"OVER: {alarm.what}\n    since {_at(alarm.recovered_at)}, noticed {_at(alarm.raised_at)}"
    since = f"\n    since {_at(alarm.since)}" if alarm.since else ""
    return "\n    ".join(
        line for line in (f"{alarm.level.upper()}: {alarm.what}{since}", alarm.why, alarm.way_out) if line
    )


def _at(when: Any) -> str:  # noqa: ANN401 - a time or nothing
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}" if when else "?"


def _request(method: str, url: str, body: dict[str, Any] | None) -> None:
    import requests

    try:
        # A redirect is not followed: what the receiver says must be meant for us.
        answer = requests.request(
            method,
            url,
            json=body,
            timeout=SECONDS,
            allow_redirects=False,
            headers={"User-Agent": "fnloader"},
            stream=True,
        )
    except requests.RequestException as error:
        # The text of the error names the URL, which may hold a secret.
        raise Undeliverable(f"no answer ({type(error).__name__})") from None
    with answer:
        if not 200 <= answer.status_code < 300:
            raise Undeliverable(f"it answered {answer.status_code}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
