"""Oracle, as far as that goes without a server: what the site asks its database can be said in Oracle's words.

Whatever Django asks while feeds are loaded, batches counted and all pages opened is built for Oracle, too, before it is
run on the database of the tests. Nothing here was run on an Oracle database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models.sql import compiler
from django.test import Client

from batches import tasks
from batches.ingest import scheduled
from fnloader_site.monitoring.concerns import all_concerns
from loader.fn4.client import FindNeighbour4
from loader.maintenance import counters, prune, reconcile_job
from loader.models import BucketObject, Feed, LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from objectstores import open_store
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant
from tests.support.feeding import LENGTH, REFERENCE
from tests.support.feeds import MakeFeed
from tests.support.shelf import Shelf

COMPILERS = (compiler.SQLCompiler, compiler.SQLUpdateCompiler, compiler.SQLInsertCompiler)
LISTS = ("/batches/", "/batches/plc/", "/feeds/", "/files/", "/attempts/", "/loads/", "/differences/")
QUERIES = (
    "",
    "?q=s1",
    "?q=in/s1.fasta",
    "?when=day&outcome=inserted&wrong=1&parsed=failed&sort=-file_name",
    "?state=loaded&accepted=0",
)
MINE = ("loader", "batches", "fnloader_site")


@pytest.fixture
def built(oracle: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:  # noqa: ANN401
    """The statements so far."""
    statements: set[str] = set()
    connections["oracle"] = oracle

    def also(execute: Callable[..., Any]) -> Callable[..., Any]:
        def both(ours: compiler.SQLCompiler, *args: object, **options: object) -> Any:  # noqa: ANN401
            with suppress(EmptyResultSet, FullResultSet):
                theirs = ours.query.clone().get_compiler("oracle")
                said = theirs.as_sql()
                statements.update(sql for sql, _ in (said if isinstance(said, list) else [said]))
            return execute(ours, *args, **options)

        return both

    for kind in COMPILERS:
        monkeypatch.setattr(kind, "execute_sql", also(kind.execute_sql))
    yield statements
    del connections["oracle"]


@pytest.fixture
def feed(make_feed: MakeFeed) -> Feed:
    """With three files, one of which can't be loaded."""
    made = make_feed(scheduled=True)
    with closing(open_store(made.store_url)) as store:
        for number in range(3):
            prefix = "OTHER|" if number == 2 else "GPAS_SP3|"
            store.write(f"s{number}.fasta", fasta(f"s{number}", mutant(REFERENCE, number), prefix=prefix))
    return made


def load(feed: Feed) -> None:
    with (
        Fn4Sandbox(LENGTH) as fn4,
        closing(FindNeighbour4(fn4.url)) as client,
        closing(open_store(feed.store_url)) as store,
    ):
        feed.server.url = fn4.url
        feed.server.save()
        assert FeedPass(LoadContext(feed, store, client)).turn().inserted == 2
        reconcile_job.reconcile_and_store(feed, lambda: False)


def test_what_pages_commands_and_jobs_ask_can_be_said_to_oracle(built: set[str], feed: Feed, shelf: Shelf) -> None:
    load(feed)
    batch = shelf.batch("plc", "1", "2")
    scheduled.count_once(batch)
    tasks.count_batches()
    counters.update_counters()
    prune.prune(0)
    assert all_concerns()
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    item, attempt = BucketObject.objects.earliest("pk"), LoadAttempt.objects.earliest("pk")
    pages = [
        *("/", "/metrics", "/search/?q=s", "/sample/?id=s1"),
        *("/feeds/tb/", f"/files/{item.pk}/", f"/attempts/{attempt.pk}/"),
        *(path + query for path in LISTS for query in QUERIES),
        *(f"/admin/{one.app_label}/{one.model_name}/?q=s1" for one in _administered()),
    ]
    for page in pages:
        assert boss.get(page).status_code == 200, page
    for path in LISTS:
        assert b"".join(boss.get(path, {"export": "csv"}).streaming_content), path  # type: ignore[attr-defined]
    assert len(built) > 150
    assert not [sql for sql in built if " LIMIT " in sql], "Oracle says FETCH"
    for start in ("SELECT", 'INSERT INTO "FN4LOADATTEMPT"', 'UPDATE "LOADER_BUCKETOBJECT"'):
        assert [sql for sql in built if sql.startswith(start)], start


def _administered() -> list[Any]:
    return [model._meta for model in admin.site._registry if model._meta.app_label in MINE]
