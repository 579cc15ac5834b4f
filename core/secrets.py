"""Secrets of the settings that others may repeat: libraries log the answers of a broker or a mail server as they are."""

from __future__ import annotations

import os
from base64 import b64encode
from functools import cache
from urllib.parse import unquote, urlsplit

from django.conf import settings

from objectstores.answers import hide


def hide_secrets(text: str) -> str:
    """The text with `***` for each secret that travels: passwords of Redis, mail and servers, tokens of AWS and `/metrics`."""
    secrets = _secrets()
    return hide(text.encode(errors="surrogatepass"), secrets).decode(errors="surrogatepass") if secrets else text


@cache
def _secrets() -> tuple[str, ...]:
    redis = urlsplit(settings.REDIS_URL).password or ""
    login = f"\0{settings.EMAIL_HOST_USER}\0{settings.EMAIL_HOST_PASSWORD}" if settings.EMAIL_HOST_PASSWORD else ""
    plain = {
        redis,
        unquote(redis),
        settings.EMAIL_HOST_PASSWORD,
        settings.METRICS_TOKEN,
        *(auth.partition(":")[2] for auth in settings.FN4_AUTH.values()),
        *(os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
    }
    # As Basic authentication and SMTP send them.
    encoded = {
        b64encode(text.encode()).decode() for text in (login, settings.EMAIL_HOST_PASSWORD, *settings.FN4_AUTH.values())
    }
    return tuple((plain | encoded) - {""})
