"""Errors for Sentry, without local variables, bodies, cookies, addresses and command lines."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.utils import BadDsn

from core.logs import context_of

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


def _add_tags(event: Event, hint: Hint) -> Event:
    """Adds host, feed, batch, sample, attempt and job."""
    host = event.get("server_name", "")
    error = hint["exc_info"][1] if hint.get("exc_info") else None
    event["tags"] = {**dict(event.get("tags") or {}), "host": host, **context_of(error)}
    extra = event.get("extra") or {}
    extra.pop("sys.argv", None)
    return event
