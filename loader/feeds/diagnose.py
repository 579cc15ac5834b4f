"""Tests each link of a feed - database, store, server - and names what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from urllib.parse import urlsplit

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models.functions import Now

from core.formatting import first_line
from loader.choices import AttemptOutcome
from loader.feeds.diagnose_server import CheckedLink, diagnose_server
from loader.feeds.store_urls import open_feed_store
from loader.ledger.scan import PAGE_SIZE
from loader.models import Feed, LoadAttempt, Server
from objectstores.base import Denied, Misconfigured, NotFound, Store, StoredObject, StoreError, TooLarge

PERMISSIONS = {
    "oci": ("OBJECT_INSPECT (allow … to inspect objects in …)", "OBJECT_READ (allow … to read objects in …)"),
    "s3": ("s3:ListBucket on the bucket", "s3:GetObject on its objects"),
    "file": ("read and execute permission on the folder", "read permission on its files"),
}
"""What listing and reading need, by the scheme of a store's URL."""


def diagnose(feed: Feed, db: str) -> Iterator[CheckedLink]:
    """Tests one link after the other. Loads nothing; what it writes is rolled back."""
    yield _database(feed, db)
    yield from _store(feed)
    yield from diagnose_server(feed, db)


def _database(feed: Feed, db: str) -> CheckedLink:
    try:
        with transaction.atomic(using=db):
            Server.objects.using(db).filter(pk=feed.server_id).update(lease_heartbeat=Now())
            LoadAttempt.objects.using(db).create(feed=feed, server=feed.server, outcome=AttemptOutcome.NOT_SENT)
            transaction.set_rollback(True, using=db)
    except (DatabaseError, InterfaceError) as error:
        reason = first_line(error)
        hint = "Needs SELECT, INSERT, UPDATE and DELETE on all tables. Check DATABASE_URL, and run manage.py migrate."
        return CheckedLink("database writes", ok=False, result=reason, hint=hint)
    return CheckedLink("database writes", ok=True, result="lease and attempt written, rolled back")


def _store(feed: Feed) -> Iterator[CheckedLink]:
    to_list, to_read = PERMISSIONS[urlsplit(feed.store_url).scheme]
    try:
        store = open_feed_store(feed.store_url)
    except StoreError as error:
        yield CheckedLink(
            "store opens", ok=False, result=str(error), hint="" if _names_a_setting(error) else _variables(feed)
        )
        return
    try:
        yield CheckedLink("store opens", ok=True, result=store.describe())
        file: StoredObject | None = None

        def first_object() -> str:
            nonlocal file
            page = list(islice(store.list(), PAGE_SIZE))
            file = next((item for item in page if feed.name_rules.is_fasta(item.name) and not item.archived), None)
            order = "; this store does not list in byte order, so names are sorted here" if store.sorted_here else ""
            return f"first object: {page[0].name}{order}" if page else "empty"

        listed = _check("store lists", first_object, to_list, feed)
        yield listed
        if listed.ok:
            yield _read(store, file, to_read, feed)
    finally:
        store.close()


def _read(store: Store, file: StoredObject | None, permission: str, feed: Feed) -> CheckedLink:
    if not file:
        return CheckedLink("store reads", ok=True, result="not tested: no FASTA file among the first objects")

    def read() -> str:
        try:
            content = store.read(file.name, etag=file.etag, limit=feed.largest)
        except TooLarge as error:
            return f"{error} (will be rejected)"
        return f"{file.name}, {len(content):,} bytes"

    return _check("store reads", read, permission, feed)


def _check(name: str, test: Callable[[], str], permission: str, feed: Feed) -> CheckedLink:
    try:
        return CheckedLink(name, ok=True, result=test())
    except (Denied, NotFound) as error:
        # Without permission a bucket is reported as missing, by OCI always.
        hint = "" if _names_a_setting(error) else f"Missing permission, or wrong name: {permission}."
        return CheckedLink(name, ok=False, result=str(error), hint=hint)
    except Misconfigured as error:
        return CheckedLink(name, ok=False, result=str(error), hint="" if _names_a_setting(error) else _variables(feed))
    except StoreError as error:
        return CheckedLink(name, ok=False, result=str(error), hint="Retry; check firewall and proxy.")


def _names_a_setting(error: StoreError) -> bool:
    """Whether the error says what to set: a second hint would only mislead."""
    return "AWS_" in str(error)


def _variables(feed: Feed) -> str:
    return {
        "oci": "Check OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE and OCI_ENDPOINT.",
        "s3": "Check AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3.",
    }.get(urlsplit(feed.store_url).scheme, "Check the feed's store URL.")
