"""Tests the server of a feed: does it answer, does a full sample get through to it, and what should its operator know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models.functions import Now

from core.formatting import pluralize, printable
from loader.choices import CircuitKind
from loader.coordination.engine_question import claim_question
from loader.feeds.manage import client_for
from loader.feeds.server_urls import is_loopback
from loader.fn4.facts import EngineFacts
from loader.fn4.insert import LOCK_WAIT
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import Feed, Server

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4

SAMPLE_LETTERS = 30_000


@dataclass(frozen=True)
class CheckedLink:
    """One link, and the result of its test."""

    name: str
    ok: bool
    result: str
    hint: str = ""
    warning: bool = False
    """It works, and there is something to know about it."""


def diagnose_server(feed: Feed, db: str) -> Iterator[CheckedLink]:
    """Tests it; inserts nothing."""
    client = client_for(feed)
    try:
        try:
            client.probe()
        except (ServerUnavailable, ServerMisconfigured) as error:
            variable = f"FN4_AUTH_{feed.name.upper().replace('-', '_')}"
            status = "is set" if settings.FN4_AUTH else "is not set, nor is FN4_AUTH"
            hint = f"Check URL and path, and FN4_CA_BUNDLE. {variable} {status}."
            yield CheckedLink("server answers", ok=False, result=str(error), hint=hint)
            return
        yield CheckedLink("server answers", ok=True, result=feed.server.url)
        facts, described = _described(client, feed, db)
        yield described
        yield _lets_through(client, facts.reference_length or 0)
        yield from _warnings(client, feed, db)
    finally:
        client.close()


def _described(client: FindNeighbour4, feed: Feed, db: str) -> tuple[EngineFacts, CheckedLink]:
    """What it says about itself; of less than a minute ago, if it was asked then."""
    row = Server.objects.using(db).get(pk=feed.server_id)
    name, facts, trouble = (
        row.name,
        EngineFacts(row.reference_length, row.max_unknown, row.engine_samples, row.version),
        "",
    )
    try:
        name = client.name() or name
        if claim_question(row, db):
            facts = client.engine()
    except ServerUnavailable as error:
        trouble = str(error)
    except ServerMisconfigured:
        pass  # an older build does not tell
    parts = [printable(name) or "no name", f"version {printable(facts.version)}" if facts.version else ""]
    parts += [f"reference of {pluralize(facts.reference_length, 'letter')}" if facts.reference_length else ""]
    parts += [f"at most {facts.max_unknown:,} N" if facts.max_unknown is not None else ""]
    if facts.samples is not None:
        in_database = row.number_in_server if row.counted_at else None
        with suppress(ServerUnavailable, ServerMisconfigured):
            in_database = client.count() if in_database is None else in_database
        parts.append(
            f"{pluralize(facts.samples, 'sample')} in its engine"
            + (f", {in_database:,} in its database" if in_database is not None else "")
        )
    result = "; ".join(part for part in parts if part)
    if trouble:
        hint = "It answers questions, but would refuse every insert: start its engine, or make its database writable."
        return facts, CheckedLink("server engine", ok=False, result=trouble, hint=hint)
    return facts, CheckedLink("server engine", ok=True, result=result)


def _lets_through(client: FindNeighbour4, reference_length: int) -> CheckedLink:
    """Whether a sample as large as the server takes arrives whole: a proxy may have a limit."""
    name = "sample gets through"
    for letters in sorted({SAMPLE_LETTERS, max(SAMPLE_LETTERS, reference_length)}):
        try:
            arrived = client.mirror(letters)
        except (ServerUnavailable, ServerMisconfigured) as error:
            hint = f"A form of {letters:,} letters was sent. Raise the limits of the proxies before the server."
            return CheckedLink(name, ok=False, result=str(error), hint=hint)
        if arrived is None:
            return CheckedLink(name, ok=True, result="not tested: the server has no 'mirror'")
        if arrived != letters:
            return CheckedLink(
                name,
                ok=False,
                result=f"of {letters:,} letters only the first {arrived:,} arrived as they were sent",
                hint="A proxy cuts or changes large bodies: raise its limit (nginx: client_max_body_size).",
            )
    return CheckedLink(name, ok=True, result=f"{letters:,} letters there and back")


def _warnings(client: FindNeighbour4, feed: Feed, db: str) -> Iterator[CheckedLink]:
    if client.has_one_worker():
        yield CheckedLink(
            "server workers",
            ok=True,
            warning=True,
            result="only one: each question waits for the insert before it",
            hint="Loading works. People who query the server wait less with more workers (gunicorn --workers).",
        )
    is_stuck = Server.objects.using(db).filter(
        pk=feed.server_id,
        circuit_kind=CircuitKind.LOCKED,
        circuit_open_since__lt=Now() - timedelta(seconds=LOCK_WAIT),
    )
    if is_stuck.exists():
        yield CheckedLink(
            "lock manager",
            ok=True,
            warning=True,
            result="not running: the insert lock is stuck",
            hint="Start the server's lock manager, or restart the server with --drop_locks.",
        )
    if client.auth and urlsplit(client.url).scheme == "http" and not is_loopback(client.url):
        yield CheckedLink(
            "password",
            ok=True,
            warning=True,
            result="is sent over HTTP, readable on the way",
            hint="Use an https:// URL of the server.",
        )
