"""Alarms to chats, phones and everything else that apprise knows: one channel for each URL of ALARM_URLS."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.alarms.base import DeliveryFailed, answer_text, body, summary
from core.digests import digest
from core.models import Alarm

MAX_SCHEME_LENGTH = 11
"""A channel's name has at most 20 characters."""
_ANSWER = "Response Details:"


class ChatChannel:
    """One message with all changes, to one URL."""

    always = False

    def __init__(self, url: str) -> None:
        self._url = url
        # Two of one kind need two names, which must not tell the secret.
        self.name = f"{url.partition(':')[0][:MAX_SCHEME_LENGTH]} {digest(url)[:8]}"

    def is_set_up(self) -> bool:
        """There is one for each URL."""
        return True

    def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
        """One."""
        yield list(alarms)

    def send(self, alarms: list[Alarm]) -> None:
        """Sends it by apprise."""
        import apprise

        kind = apprise.NotifyType.FAILURE if any(alarm.is_up for alarm in alarms) else apprise.NotifyType.SUCCESS
        with _recorded_log() as log:
            chat, receiver = apprise.Apprise.instantiate(self._url), apprise.Apprise()
            if known := chat is not None:
                # As with webhooks: the response must come from the receiver itself.
                chat.redirects = False
                receiver.add(chat)
            accepted = known and receiver.notify(
                body=body(alarms), title=summary(alarms), notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
        if not known:
            raise DeliveryFailed("not a URL that apprise knows")
        if not accepted:
            raise DeliveryFailed(answer_text(" ".join(log.texts), self._url) or "not accepted")


class _LogRecorder(logging.Handler):
    """Keeps what apprise says of a failure, and what the receiver answered, which it logs for debugging only."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(_ANSWER):
            self.texts.append(text.removeprefix(_ANSWER).strip().removeprefix("b").strip("'\""))
        elif record.levelno >= logging.WARNING:
            self.texts.append(text)


@contextmanager
def _recorded_log() -> Iterator[_LogRecorder]:
    """Nothing of it reaches our log: apprise's lines may hold the URL."""
    logger, recorder = logging.getLogger("apprise"), _LogRecorder()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(recorder)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield recorder
    finally:
        logger.removeHandler(recorder)
        logger.setLevel(level)
        logger.propagate = propagate


def is_known(url: str) -> bool:
    """Whether apprise can send to this URL."""
    import apprise

    with _recorded_log():
        return apprise.Apprise.instantiate(url) is not None
