"""Tries every link of a feed in turn - database, store, server - and names what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models.functions import Now

from loader.choices import AttemptOutcome
from loader.fasta.parser import SUFFIX
from loader.feeds.manage import client_for
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger.scan import PAGE
from loader.models import Feed, LoadAttempt, Server
from objectstores import open_store
from objectstores.base import Denied, Misconfigured, NotFound, Store, StoredObject, StoreError, TooLarge

PERMISSIONS = {
    "oci": ("OBJECT_INSPECT (allow … to inspect objects in …)", "OBJECT_READ (allow … to read objects in …)"),
    "s3": ("s3:ListBucket on the bucket", "s3:GetObject on its objects"),
    "file": ("the right to read and enter the folder", "the right to read its files"),
}
"""What it takes to list and to read, by the scheme of a store's URL."""


@dataclass(frozen=True)
class CheckedLink:
    """One link, and what came of trying it."""

    name: str
    ok: bool
    result: str
    hint: str = ""


def diagnose(feed: Feed, db: str) -> Iterator[CheckedLink]:
    """Tries them one after the other; nothing is loaded, and nothing is kept of what is written."""
    yield _database(feed, db)
    yield from _store(feed)
    yield _server(feed)


def _database(feed: Feed, db: str) -> CheckedLink:
    try:
        with transaction.atomic(using=db):
            Server.objects.using(db).filter(pk=feed.server_id).update(lease_heartbeat=Now())
            LoadAttempt.objects.using(db).create(feed=feed, server=feed.server, outcome=AttemptOutcome.NOT_SENT)
            transaction.set_rollback(True, using=db)
    except (DatabaseError, InterfaceError) as error:
        reason = str(error).strip().splitlines()[0]
        hint = "It needs SELECT, INSERT, UPDATE and DELETE on all tables; see DATABASE_URL, and run manage.py migrate."
        return CheckedLink("database writes", ok=False, result=reason, hint=hint)
    return CheckedLink("database writes", ok=True, result="a lease and an attempt, rolled back")


def _store(feed: Feed) -> Iterator[CheckedLink]:
    to_list, to_read = PERMISSIONS[urlsplit(feed.store_url).scheme]
    try:
        store = open_store(feed.store_url)
    except StoreError as error:
        yield CheckedLink("store opens", ok=False, result=str(error), hint=_variables(feed))
        return
    try:
        yield CheckedLink("store opens", ok=True, result=store.describe())
        file: StoredObject | None = None

        def look() -> str:
            nonlocal file
            page = list(islice(store.list(), PAGE))
            file = next((item for item in page if SUFFIX.search(item.name) and not item.archived), None)
            return f"the first is {page[0].name}" if page else "it is empty"

        listed = _attempt("store lists", look, to_list, feed)
        yield listed
        if listed.ok:
            yield _read(store, file, to_read, feed)
    finally:
        store.close()


def _read(store: Store, file: StoredObject | None, permission: str, feed: Feed) -> CheckedLink:
    if not file:
        return CheckedLink("store reads", ok=True, result="not tried: there is no FASTA file among its first objects")

    def read() -> str:
        try:
            content = store.read(file.name, etag=file.etag, limit=feed.largest)
        except TooLarge as error:
            return f"{error} (rejected when it is loaded)"
        return f"{file.name}, {len(content):,} bytes"

    return _attempt("store reads", read, permission, feed)


def _attempt(name: str, do: Callable[[], str], permission: str, feed: Feed) -> CheckedLink:
    try:
        return CheckedLink(name, ok=True, result=do())
    except (Denied, NotFound) as error:
        # A bucket that may not be seen is said not to be there, by OCI always.
        return CheckedLink(name, ok=False, result=str(error), hint=f"Missing, if the name is right: {permission}.")
    except Misconfigured as error:
        return CheckedLink(name, ok=False, result=str(error), hint=_variables(feed))
    except StoreError as error:
        return CheckedLink(name, ok=False, result=str(error), hint="Try again; a firewall or proxy may stand between.")


def _variables(feed: Feed) -> str:
    return {
        "oci": "Check OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE and OCI_ENDPOINT.",
        "s3": "Check AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3.",
    }.get(urlsplit(feed.store_url).scheme, "Check the feed's store URL.")


def _server(feed: Feed) -> CheckedLink:
    client = client_for(feed)
    try:
        client.probe()
    except (ServerUnavailable, ServerMisconfigured) as error:
        own = f"FN4_AUTH_{feed.name.upper().replace('-', '_')}"
        known = "is set" if settings.FN4_AUTH else "is not set, nor is FN4_AUTH"
        return CheckedLink(
            "server answers",
            ok=False,
            result=str(error),
            hint=f"Check its URL and path; {own} {known}; FN4_CA_BUNDLE.",
        )
    finally:
        client.close()
    return CheckedLink("server answers", ok=True, result=f"{feed.server.url}, 'exists'")
