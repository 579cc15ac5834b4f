"""Channels for alarms that are a URL of their own: a webhook, and a ping that shows that fnloader itself is alive; and the list
of all channels (docs/alarms.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings

from core.alarms.base import Channel, DeliveryFailed, answer_text
from core.alarms.chats import ChatChannel
from core.alarms.mail import MailChannel
from core.formatting import printable
from core.models import Alarm

HTTP_TIMEOUT = 15.0
_MAX_ANSWER_BYTES = 4000


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


def all_channels() -> list[Channel]:
    """All channels that are set up."""
    channels: list[Channel] = [MailChannel(), WebhookChannel(), *map(ChatChannel, settings.ALARM_URLS), PingChannel()]
    return [channel for channel in channels if channel.is_set_up()]


def webhook_payload(alarm: Alarm) -> dict[str, Any]:
    """The JSON document of a webhook."""
    event = "raised" if alarm.is_up else "recovered"
    level = alarm.get_level_display().upper() if alarm.is_up else "RESOLVED"
    parts = (f"{level}: {alarm.what}", *((alarm.why, alarm.way_out) if alarm.is_up else ()))
    return {
        # Chats such as Slack and Mattermost show this key, and refuse a document without it.
        "text": "\n".join(printable(part) for part in parts if part),
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


def _request(method: str, url: str, body: dict[str, Any] | None) -> None:
    import requests
    from urllib3.exceptions import HTTPError

    from core.http import bounded_session
    from core.link_local import LinkLocalAddress

    try:
        # Redirects are not followed: the response must come from the receiver itself.
        response = bounded_session().request(
            method,
            url,
            json=body,
            timeout=HTTP_TIMEOUT,
            allow_redirects=False,
            headers={"User-Agent": "fnloader"},
            stream=True,
        )
    except LinkLocalAddress:
        text = "leads to a link-local or cloud metadata address, which is refused unless ALLOW_LINK_LOCAL=on"
        raise DeliveryFailed(text) from None
    except (requests.RequestException, HTTPError, ValueError) as error:
        # The text of the error has the URL, which may hold a secret.
        raise DeliveryFailed(f"No response ({type(error).__name__})") from None
    with response:
        if 200 <= response.status_code < 300:
            return
        answer = ""
        with suppress(HTTPError, OSError):
            # A single read: a receiver that drips would hold up the other channels.
            answer = answer_text(response.raw.read1(_MAX_ANSWER_BYTES, decode_content=True), url)
        raise DeliveryFailed(f"HTTP {response.status_code}{answer and ': '}{answer}")
