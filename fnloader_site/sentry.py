"""Errors for Sentry, without local variables, bodies, cookies, addresses and command lines."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import sentry_sdk
from sentry_sdk.utils import BadDsn

from core.logs import context_of
from core.secrets import hide_secrets

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

__all__ = ["BadDsn", "init_sentry"]


def init_sentry(dsn: str, host: str) -> None:
    """Sends errors from now on. Raises BadDsn."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    sentry_sdk.init(
        dsn=dsn,
        server_name=host,
        release=f"fnloader@{project['version']}",
        # Local variables and request bodies would carry sequences (traps.md, Sentry); breadcrumbs signed URLs.
        include_local_variables=False,
        max_request_body_size="never",
        send_default_pii=False,
        max_breadcrumbs=0,
        before_send=_add_tags,
    )


def _add_tags(event: Event, hint: Hint) -> Event | None:
    """Adds host, feed, batch, sample, attempt and job; leaves method and path of a request. None for a refused one."""
    if str(event.get("logger", "")).startswith("django.security"):
        return None
    if "request" in event:
        # The query holds what was searched for; headers the page before, with its own.
        url = urlsplit(str(event["request"].get("url", "")))._replace(query="", fragment="").geturl()
        event["request"] = {"method": event["request"].get("method"), "url": url}
    host = event.get("server_name", "")
    error = hint["exc_info"][1] if hint.get("exc_info") else None
    event["tags"] = {**dict(event.get("tags") or {}), "host": host, **context_of(error)}
    extra = event.get("extra") or {}
    extra.pop("sys.argv", None)
    cleaned: Event = json.loads(hide_secrets(json.dumps(event, default=str)))
    return cleaned
