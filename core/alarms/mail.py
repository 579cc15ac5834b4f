"""Alarms by mail."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

from core.alarms.base import MAX_ANSWER_LENGTH, DeliveryFailed, PartlyDelivered, body, summary
from core.formatting import printable
from core.models import Alarm
from core.secrets import hide_secrets

MAX_SUBJECT_LENGTH = 150
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


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
        # Other backends, of a test or a developer, refuse nobody.
        is_smtp = settings.EMAIL_BACKEND == SMTP_BACKEND
        connection = get_connection(f"{__name__}.RefusalsBackend" if is_smtp else None)
        message = EmailMessage(
            summary(alarms)[:MAX_SUBJECT_LENGTH],
            body(alarms),
            to=settings.ALARM_MAIL,
            connection=connection,
        )
        try:
            message.send()
        except smtplib.SMTPRecipientsRefused as error:
            raise DeliveryFailed(_refusals(error.recipients)) from error
        except smtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"{type(error).__name__}: {_answer(error.smtp_code, error.smtp_error)}") from error
        except (OSError, ValueError) as error:
            text = printable(hide_secrets(" ".join(str(error).split())))[:MAX_ANSWER_LENGTH]
            raise DeliveryFailed(f"{type(error).__name__}: {text}") from error
        if refused := getattr(connection, "refused", None):
            raise PartlyDelivered(_refusals(refused))


class RefusalsBackend(EmailBackend):
    """Django's, which ignores that smtplib returns the recipients that a server refused if it accepted others."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's
        super().__init__(*args, **options)
        self.refused: dict[str, tuple[int, bytes]] = {}
        """The refused recipients, and the server's answer to each."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """smtplib's class, which also notes who was refused."""
        base: type[smtplib.SMTP] = super().connection_class
        refused = self.refused

        class NotingSMTP(base):  # type: ignore[misc,valid-type]
            def sendmail(self, *args: Any, **options: Any) -> dict[str, tuple[int, bytes]]:  # noqa: ANN401 - smtplib's
                result: dict[str, tuple[int, bytes]] = super().sendmail(*args, **options)
                refused.update(result)
                return result

        return NotingSMTP


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    recipients = (f"{printable(address)} ({_answer(*answer)})" for address, answer in refused.items())
    return f"SMTP server refused {', '.join(recipients)}"


def _answer(code: int, text: bytes | str) -> str:
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    return printable(hide_secrets(f"{code} {' '.join(readable.split())}"))[:MAX_ANSWER_LENGTH]
