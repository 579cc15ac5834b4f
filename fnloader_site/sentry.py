"""Errors for Sentry, without what must not leave: local variables, bodies, cookies, addresses and command lines."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.utils import BadDsn

from core.logs import context_of

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

__all__ = ["BadDsn", "listen"]


def listen(dsn: str, host: str) -> None:
    """Sends what goes wrong from now on. Raises BadDsn."""
    sentry_sdk.init(
        dsn=dsn,
        server_name=host,
        release=_release(),
        # Local variables and request bodies would carry sequences (traps.md, Sentry); crumbs signed URLs.
        include_local_variables=False,
        max_request_body_size="never",
        send_default_pii=False,
        max_breadcrumbs=0,
        before_send=_tagged,
    )


def _tagged(event: Event, hint: Hint) -> Event:
    """Adds who and what it is about: host, feed, batch, sample, attempt, job."""
    host = event.get("server_name", "")
    error = hint["exc_info"][1] if hint.get("exc_info") else None
    event["tags"] = {**dict(event.get("tags") or {}), "host": host, **context_of(error)}
    extra = event.get("extra") or {}
    extra.pop("sys.argv", None)
    return event


def _release() -> str:
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    return f"fnloader@{tomllib.loads(project.read_text())['project']['version']}"
