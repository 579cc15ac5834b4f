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

from core.alarms.channels import all_channels
from core.alarms.notifications import deliver, record_changes
from core.concerns import Concern, Level
from core.models import Alarm, AlarmChannel, AlarmNotice, JobRun
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
    """Takes mail; `refuses` answers instead of taking it, `refused` are recipients that it does not know."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.mails: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refuses = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        super().__init__(self, hostname="127.0.0.1", port=port)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: ANN401, N802
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

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
        "text", "id", "event", "site",
        "host", "kind", "about", "level", "what", "why", "way_out", "since", "raised_at", "recovered_at",
    }  # fmt: skip
    assert (raised["event"], raised["kind"], raised["about"], raised["recovered_at"]) == (
        "raised",
        "server_away",
        "fn4",
        None,
    )
    assert (recovered["event"], bool(recovered["recovered_at"])) == ("recovered", True)
    assert raised["id"] != recovered["id"]
    assert raised["text"] == "ERROR: Server fn4 is unavailable\nrefused\nLoading resumes.", "for chats"
    assert recovered["text"] == "RESOLVED: Server fn4 is unavailable"


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
    assert [channel.name for channel in all_channels()] == ["mail"]
    assert all_concerns() == [], "a channel that was removed fails no longer"
    JobRun.objects.create(name="loader.tasks.load", failed_at=timezone.now(), error="boom")
    for _ in range(2):
        with pytest.raises(SystemExit):
            call_command("fnstatus", "--alarm", stdout=StringIO(), stderr=StringIO())
    assert len(mail.mails) == 1


def test_line_ends_in_a_text_can_not_add_headers(mail: MailServer) -> None:
    record_changes([Concern(Level.ERROR, "Feed x\r\nBcc: evil@example.org", kind="k")])
    assert deliver() == {"mail": "1 sent"}
    assert mail.mails[0]["Bcc"] is None


def test_a_refused_recipient_is_named_and_the_others_get_the_mail_once(mail: MailServer) -> None:
    mail.refused = {"two@example.org"}
    record_changes([AWAY])
    refusal = "SMTP server refused two@example.org (550 5.1.1 no such user)"
    assert deliver() == {"mail": f"1 sent, but {refusal}"}
    assert deliver() == {"mail": "0 sent"}
    assert mail.recipients == [["one@example.org"]]
    (concern,) = all_concerns()
    assert (concern.kind, concern.why) == ("alarm_undelivered", refusal), "until a mail reaches both"
    mail.refused = set()
    record_changes([AWAY, PAUSED])
    assert deliver() == {"mail": "1 sent"}
    assert all_concerns() == []


def test_a_mail_that_nobody_accepts_is_retried(mail: MailServer) -> None:
    mail.refused = {"one@example.org", "two@example.org"}
    record_changes([AWAY])
    result = deliver()["mail"]
    assert result.startswith("failed: ")
    assert "one@example.org (550 5.1.1 no such user)" in result
    mail.refused = set()
    make_retries_due()
    assert deliver() == {"mail": "1 sent"}


def test_what_a_receiver_answers_is_shown_as_one_line_without_its_address(settings: Any, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_WEBHOOK_URL = receiver.url + "/hooks/T0KEN-secret"
    receiver.status = 400
    receiver.answer = b"Cannot POST /hooks/T0KEN-secret\n\x1b[31mERROR: \xe2\x80\xae forged\n" + b"x" * 1000
    record_changes([AWAY])
    result = deliver()["webhook"]
    assert result.startswith("failed: HTTP 400: Cannot POST … \\x1b[31mERROR: \\u202e forged xxx")
    assert len(result) < 250
    assert "T0KEN" not in result + AlarmChannel.objects.get().error


@pytest.mark.parametrize("url", ["http://exa mple/", "http://.example.org/", "http://[::1", "http://\udc80/", "x://h"])
def test_a_channel_that_raises_anything_keeps_no_other_from_being_tried(
    settings: Any,  # noqa: ANN401
    mail: MailServer,
    receiver: Receiver,
    url: str,
) -> None:
    settings.ALARM_MAIL = ["not an address", "\udc80@example.org"]
    settings.ALARM_WEBHOOK_URL, settings.ALARM_PING_URL = url, receiver.url
    record_changes([AWAY])
    results = deliver()
    assert {name: text.split(":")[0] for name, text in results.items()} == {
        "mail": "failed",
        "webhook": "failed",
        "ping": "1 sent",
    }
    assert [concern.about for concern in all_concerns()] == ["mail", "webhook"]


def test_apprise_urls_are_channels_of_their_own(settings: Any, receiver: Receiver) -> None:  # noqa: ANN401
    address = receiver.url.removeprefix("http://")
    settings.ALARM_URLS = [f"json://{address}/T0KEN-one", "json://127.0.0.1:1/T0KEN-two"]
    record_changes([AWAY, PAUSED])
    works, broken = (text for text in deliver().values())
    assert works == "2 sent"
    assert broken.startswith("failed: ")
    ((method, path, document),) = receiver.got
    assert (method, path, document["title"]) == (
        "POST",
        "/T0KEN-one",
        "[fnloader] 2 alarms, 0 resolved: Server fn4 is unavailable",
    )
    assert "ERROR: Server fn4 is unavailable" in document["message"]
    assert "Resume it: feed resume tb" in document["message"]
    names = list(AlarmChannel.objects.values_list("name", flat=True))
    assert len(set(names)) == 2
    assert "T0KEN" not in broken + str(names) + str(list(AlarmChannel.objects.values_list("error")))
    deliver()
    assert len(receiver.got) == 1, "nothing twice"


def test_what_a_chat_answers_is_shown(settings: Any, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_URLS = [f"json://{receiver.url.removeprefix('http://')}/T0KEN-one"]
    receiver.status, receiver.answer = 403, b"invalid_token T0KEN-one"
    record_changes([AWAY])
    (result,) = deliver().values()
    assert "error=403" in result
    assert "invalid_token …" in result


def alarm_test() -> tuple[int, list[str]]:
    out = StringIO()
    try:
        call_command("alarm", "test", stdout=out, stderr=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def test_alarm_test_sends_one_to_each_channel(settings: Any, mail: MailServer, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_WEBHOOK_URL = settings.ALARM_PING_URL = receiver.url
    AlarmChannel.objects.create(name="mail", failing_since=timezone.now(), error="gone", tries=3)
    assert alarm_test() == (0, ["mail: sent", "webhook: sent", "ping: sent"])
    assert mail.mails[0]["Subject"] == "[fnloader] alarm: Test of alarms"
    assert [method for method, _, _ in receiver.got] == ["POST", "GET"]
    assert all_concerns() == [], "the mail works again"
    assert Alarm.objects.count() == 0


def test_alarm_test_names_what_failed(settings: Any, mail: MailServer, receiver: Receiver) -> None:  # noqa: ANN401
    settings.ALARM_WEBHOOK_URL = receiver.url
    receiver.status, receiver.answer = 400, b"no_text"
    mail.refused = {"two@example.org"}
    status, lines = alarm_test()
    assert status == 10
    assert lines == [
        "mail: FAILED: SMTP server refused two@example.org (550 5.1.1 no such user)",
        "webhook: FAILED: HTTP 400: no_text",
    ]


def test_alarm_test_without_a_channel_says_what_to_set() -> None:
    status, lines = alarm_test()
    assert status == 1
    assert lines == [
        "No alarm channel is set up. Set ALARM_MAIL, ALARM_URLS, ALARM_WEBHOOK_URL or ALARM_PING_URL (docs/alarms.md)."
    ]
