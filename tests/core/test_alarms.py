"""Alarms: on change only, to each receiver once, and never lost because a receiver is unavailable. Against real receivers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from io import StringIO
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.core.management import call_command
from django.utils import timezone

from core.alarms.channels import MailChannel, PingChannel, WebhookChannel
from core.alarms.notifications import deliver, record_changes
from core.concerns import Concern, Level
from core.models import Alarm, AlarmChannel, AlarmNotice
from fnloader_site.monitoring.concerns import all_concerns
from fnloader_site.tasks import alarms as alarms_job
from tests.support.leftovers import collect
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

AWAY = Concern(Level.ERROR, "Server fn4 is unavailable", "refused", "Loading resumes.", kind="server_away", about="fn4")
PAUSED = Concern(
    Level.ERROR, "Feed tb is paused", "HTTP 413", "Resume it:", "feed resume tb", kind="feed_paused", about="tb"
)


class MailServer(Controller):  # type: ignore[misc]
    """Takes mail; `refuses` answers instead of taking it."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refuses = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        super().__init__(self, hostname="127.0.0.1", port=port)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: ANN401, N802 - its signature
        if self.refuses:
            return self.refuses
        self.mails.append(message_from_bytes(envelope.content))
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:  # noqa: ANN401 - pytest-django's
    server = MailServer()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.hostname, server.port
    settings.ALARM_MAIL = ["one@example.org", "two@example.org"]
    yield server
    server.stop()
    server.__dict__.clear()  # its loop holds the connections
    collect()


def make_retries_due() -> None:
    AlarmChannel.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def test_one_mail_reports_what_came_up_and_another_that_it_is_resolved(mail: MailServer) -> None:
    record_changes([AWAY, PAUSED])
    assert deliver() == {"mail": "2 sent"}
    record_changes([AWAY, PAUSED])
    assert deliver() == {"mail": "0 sent"}, "nothing changed"
    record_changes([PAUSED])
    deliver()
    first, resolved = mail.mails
    assert mail.recipients[0] == ["one@example.org", "two@example.org"]
    assert first["Subject"] == "[fnloader] 2 alarms, 0 resolved: Server fn4 is unavailable"
    text = str(first.get_payload())
    assert "ERROR: Server fn4 is unavailable" in text
    assert "Resume it: feed resume tb" in text
    assert resolved["Subject"] == "[fnloader] resolved: Server fn4 is unavailable"
    record_changes([AWAY, PAUSED])
    deliver()
    assert mail.mails[2]["Subject"] == "[fnloader] alarm: Server fn4 is unavailable", "it came up again"


def test_a_webhook_gets_one_json_document_for_each_change(settings: Any, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_WEBHOOK_URL, settings.SITE_URL = receiver.url + "/hook", "https://fnloader.example.org"
    record_changes([AWAY])
    deliver()
    record_changes([])
    deliver()
    (method, path, raised), (_, _, recovered) = receiver.got
    assert (method, path) == ("POST", "/hook")
    assert set(raised) == {
        "id", "event", "site", "host", "kind", "about", "level", "what", "why", "way_out", "since", "raised_at", "recovered_at",
    }  # fmt: skip
    assert (raised["event"], raised["kind"], raised["about"], raised["recovered_at"]) == (
        "raised",
        "server_away",
        "fn4",
        None,
    )
    assert (recovered["event"], bool(recovered["recovered_at"])) == ("recovered", True)
    assert raised["id"] != recovered["id"]


def test_a_receiver_that_fails_is_retried_and_the_others_get_nothing_twice(
    settings: Any,  # noqa: ANN401
    mail: MailServer,
    receiver: Receiver,
) -> None:
    settings.ALARM_WEBHOOK_URL = receiver.url
    receiver.status = 500
    record_changes([AWAY])
    assert deliver() == {"mail": "1 sent", "webhook": "failed: HTTP 500"}
    assert [concern.kind for concern in all_concerns()] == ["alarm_undelivered"], "fnstatus reports it, too"
    assert deliver() == {"mail": "0 sent", "webhook": "skipped"}, "it is not hammered"
    receiver.status = 200
    make_retries_due()
    assert deliver() == {"mail": "0 sent", "webhook": "1 sent"}
    assert (len(mail.mails), len(receiver.got)) == (1, 2)
    assert all_concerns() == []


@pytest.mark.parametrize("refusal", ["451 try later", "550 no such user"])
def test_a_mail_server_that_refuses_loses_no_alarm(mail: MailServer, refusal: str) -> None:
    mail.refuses = refusal
    record_changes([AWAY])
    assert deliver()["mail"].startswith("failed: SMTP")
    mail.refuses = ""
    record_changes([AWAY, PAUSED])
    make_retries_due()
    assert deliver() == {"mail": "2 sent"}


def test_an_alarm_that_is_resolved_before_it_was_sent_is_not_sent(mail: MailServer) -> None:
    mail.refuses = "451 try later"
    record_changes([AWAY])
    deliver()
    record_changes([])
    mail.refuses = ""
    make_retries_due()
    assert deliver() == {"mail": "0 sent"}


def test_receivers_that_are_not_there_are_an_error_without_their_address(settings: Any) -> None:  # noqa: ANN401
    settings.ALARM_WEBHOOK_URL = settings.ALARM_PING_URL = "http://127.0.0.1:1/secret-token"
    settings.ALARM_MAIL, settings.EMAIL_PORT = ["one@example.org"], 1
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    record_changes([AWAY])
    results = deliver()
    assert {channel: text.startswith("failed: ") for channel, text in results.items()} == dict.fromkeys(results, True)
    assert set(results) == {"mail", "webhook", "ping"}
    assert "secret-token" not in str(results) + str(list(AlarmChannel.objects.values_list("error")))


def test_each_run_pings_whether_something_is_up_or_not(settings: Any, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_PING_URL = receiver.url + "/ping"
    alarms_job()
    alarms_job()
    assert receiver.got == [("GET", "/ping", None)] * 2
    receiver.status = 302
    assert "HTTP 302" in alarms_job()


def test_one_of_several_jobs_sends(mail: MailServer) -> None:
    record_changes([AWAY])
    AlarmChannel.objects.create(name="mail", busy_until=timezone.now() + timedelta(minutes=1))
    assert deliver() == {"mail": "skipped"}
    AlarmChannel.objects.update(busy_until=timezone.now() - timedelta(minutes=1))
    assert deliver() == {"mail": "1 sent"}, "the sender died"


def test_an_alarm_is_one_row_however_often_it_comes(mail: MailServer) -> None:
    for _ in range(3):
        record_changes([AWAY])
        record_changes([AWAY])
        deliver()
        record_changes([])
        deliver()
    (alarm,) = Alarm.objects.all()
    assert (alarm.times, alarm.is_up, len(mail.mails)) == (3, False, 6)
    assert AlarmNotice.objects.get().recovered == 3


def test_without_settings_nothing_is_sent_and_with_cron_the_command_sends(mail: MailServer, settings: Any) -> None:  # noqa: ANN401
    AlarmChannel.objects.create(name="webhook", failing_since=timezone.now(), error="gone")
    assert not any(channel.is_set_up() for channel in (WebhookChannel(), PingChannel()))
    assert MailChannel().is_set_up()
    for _ in range(2):
        with pytest.raises(SystemExit):
            call_command("fnstatus", "--alarm", stdout=StringIO(), stderr=StringIO())
    assert len(mail.mails) == 1


def test_line_ends_in_a_text_can_not_add_headers(mail: MailServer) -> None:
    record_changes([Concern(Level.ERROR, "Feed x\r\nBcc: evil@example.org", kind="k")])
    assert deliver() == {"mail": "1 sent"}
    assert mail.mails[0]["Bcc"] is None
