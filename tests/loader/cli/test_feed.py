"""`feed add`, `list`, `show`, `pause`, `resume`, `remove`: what an operator does with feeds, as an operator does it."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from loader.choices import AttemptOutcome, ObjectState
from loader.coordination.lease import Lease
from loader.feeds.rejections import retry_files
from loader.feeds.remove import remove_feed
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object
from tests.support.site import Manage


def feed_command(*words: str) -> str:
    """Runs it in this process and returns what it said."""
    out = StringIO()
    call_command("feed", *words, stdout=out, stderr=out)
    return out.getvalue()


def test_a_feed_is_added_loaded_under_its_name_and_removed_when_that_is_confirmed(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    url = feeding.oci.url(feeding.bucket)
    added = feeding.manage("feed", "add", "tb", feeding.fn4.url + "/", url, "--interval", "60")
    assert added.returncode == 0, added.stderr
    feeding.load()
    (row,) = json.loads(feeding.manage("feed", "list", "--json").stdout)
    assert (row["name"], row["status"], row["store"], row["loaded"]) == ("tb", "in order", url, 2)

    asked = feeding.manage("feed", "remove", "tb")
    assert (asked.returncode, "2 rows of the ledger" in asked.stdout) == (1, True), asked.stderr
    assert len(feeding.objects()) == 2, "without a terminal and without --yes nothing is done"
    assert feeding.manage("feed", "remove", "tb", "--yes").returncode == 0
    assert feeding.objects() == []
    assert feeding.attempts("seqid, outcome, feed_id") == [("s1", "inserted", None), ("s2", "inserted", None)]
    assert feeding.manage.rows("SELECT count(*), count(feed_id) FROM fn4batchload") == [(1, 0)]


def test_a_feed_has_the_settings_that_it_was_given(transactional_db: None, tmp_path: Path) -> None:
    words = ("add", "tb", "http://fn4:5025/", tmp_path.as_uri(), "--header-prefix", "", "--lenient-ids", "--scheduled")
    assert "would be added" in feed_command(*words, "--dry-run")
    assert "No feeds." in feed_command("list")
    feed_command(*words)
    shown = json.loads(feed_command("show", "tb", "--json"))
    assert (shown["header_prefix"], shown["strict_ids"], shown["scheduled"]) == ("", False, True)
    assert (shown["status"], shown["server"]) == ("never checked", "http://fn4:5025")
    for name, said in (
        ("tb", "A feed 'tb' already exists"),
        ("other", "'tb' already loads this store into this server"),
    ):
        with pytest.raises(CommandError, match=said):
            feed_command("add", name, *words[2:])


def test_a_paused_feed_says_why_until_it_is_resumed(make_feed: MakeFeed) -> None:
    make_feed("tb")
    assert "would be paused" in feed_command("pause", "tb", "--reason", "new reference", "--dry-run")
    feed_command("pause", "tb", "--reason", "new reference")
    assert "new reference" in feed_command("show", "tb")
    assert "already paused" in feed_command("pause", "tb", "--reason", "again")
    assert "Paused" in feed_command("list")
    feed_command("resume", "tb")
    assert "is not paused" in feed_command("resume", "tb")
    assert "Never checked" in feed_command("list")


def test_a_feed_is_kept_in_the_database_that_is_named(manage: Manage, tmp_path: Path) -> None:
    databases = {"DATABASE_URL": "sqlite:////nowhere/x", "DATABASE_URL_OTHER": manage.environment["DATABASE_URL"]}
    added = manage("feed", "add", "tb", "http://fn4", tmp_path.as_uri(), "--database", "other", **databases)
    assert added.returncode == 0, added.stderr
    assert manage.rows("SELECT name FROM loader_feed") == [("tb",)]
    with pytest.raises(CommandError, match="DATABASE_URL_NOWHERE"):
        feed_command("list", "--database", "nowhere")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no name", "http://fn4:5025", "file:///tmp"), "name"),
        (("tb", "fn4:5025", "file:///tmp"), "Use a URL like http://localhost:5025"),
        (("tb", "http://u:p@fn4", "file:///tmp"), "FN4_AUTH"),
    ],
)
def test_what_can_not_be_a_feed_is_refused_with_the_reason(
    transactional_db: None, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        feed_command("add", *words)
    assert not Feed.objects.exists()


def test_an_unknown_feed_is_named_with_those_that_there_are(make_feed: MakeFeed) -> None:
    make_feed("tb")
    with pytest.raises(CommandError, match=r"No feed 'bt'\. Known feeds: tb"):
        feed_command("show", "bt")


def test_nothing_of_another_feed_goes_with_a_feed(make_feed: MakeFeed) -> None:
    going, staying = make_feed("tb"), make_feed("covid")
    for feed in (going, staying):
        add_attempt(add_object(feed, "s1"), AttemptOutcome.FAILED)
        BatchLoad.objects.create(feed=feed)
    remove_feed(going, "default")
    assert list(BucketObject.objects.values_list("feed__name", flat=True)) == ["covid"]
    assert list(LoadAttempt.objects.order_by("pk").values_list("feed__name", flat=True)) == [None, "covid"]
    assert list(BatchLoad.objects.order_by("pk").values_list("feed__name", flat=True)) == [None, "covid"]


def test_a_feed_is_not_removed_under_a_loader_that_runs(make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.feeds.remove.LEASE_WAIT", 0.0)
    feed = make_feed("tb")
    lease = Lease(feed.server, "default", "other-host")
    assert lease.acquire()
    with pytest.raises(CommandError, match="is being fed by"):
        feed_command("remove", "tb", "--yes")
    lease.release()
    feed_command("remove", "tb", "--yes")
    assert not Feed.objects.exists()


def test_an_attempt_whose_end_nobody_knows_yet_keeps_its_feed(make_feed: MakeFeed) -> None:
    feed = make_feed("tb")
    begun = add_attempt(
        add_object(feed, "s1", ObjectState.LOADING), AttemptOutcome.OPEN, insert_start_time=timezone.now()
    )
    unsent = add_attempt(add_object(feed, "s2", ObjectState.LOADING), AttemptOutcome.OPEN)
    with pytest.raises(CommandError, match="may still be working"):
        feed_command("remove", "tb", "--yes")
    LoadAttempt.objects.filter(pk=begun.pk).update(insert_start_time=timezone.now() - timedelta(minutes=10))
    feed_command("remove", "tb", "--yes")
    begun.refresh_from_db()
    unsent.refresh_from_db()
    assert (begun.outcome, begun.completed, unsent.outcome) == ("failed", 0, "not_sent")
    assert "removed" in (begun.message or "")


def test_rejections_are_undone_by_reason_and_time_and_back_offs_end(make_feed: MakeFeed) -> None:
    feed, now = make_feed("tb"), timezone.now()
    day = timedelta(days=1)
    old = add_object(feed, "old", ObjectState.REJECTED, reason="HTTP 500: length", done_at=now - 2 * day)
    new = add_object(feed, "new", ObjectState.REJECTED, reason="HTTP 500: Length", done_at=now, tries=3)
    other = add_object(feed, "other", ObjectState.REJECTED, reason="it is empty", done_at=now)
    late = add_object(feed, "late", reason="HTTP 500: no length", not_before=now + day, tries=4)
    tried = add_attempt(new, AttemptOutcome.REJECTED)
    words = ("retry", "tb", "--reason", "length", "--since", f"{now - day:%Y-%m-%d}")
    assert "1 rejected file and 1 delayed file of 'tb' would be queued" in feed_command(*words, "--dry-run")
    assert new.state == ObjectState.REJECTED
    assert "1 rejected file and 1 delayed file of 'tb' were queued" in feed_command(*words)
    for row in (old, new, other, late, tried):
        row.refresh_from_db()
    assert [row.state for row in (old, new, other, late)] == ["rejected", "waiting", "rejected", "waiting"]
    assert (new.reason, new.tries, new.done_at, late.not_before, late.tries) == ("", 0, None, None, 0)
    assert (tried.outcome, tried.completed) == ("rejected", 0), "what was tried stays, and is to be tried again"
    assert retry_files(BucketObject.objects.filter(pk__in=[other.pk, new.pk])) == 1


def test_ids_with_a_plus_are_allowed_for_one_feed(transactional_db: None, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    feed_command("add", "tb", "http://fn4:5025/", (tmp_path / "a").as_uri())
    feed_command("add", "old", "http://fn4:5025/", (tmp_path / "b").as_uri(), "--plus-in-ids")

    def allowed(name: str) -> bool:
        return bool(json.loads(feed_command("show", name, "--json"))["plus_in_ids"])

    assert (allowed("tb"), allowed("old")) == (False, True)
    feed_command("set", "tb", "--plus-in-ids")
    feed_command("set", "old", "--no-plus-in-ids")
    assert (allowed("tb"), allowed("old")) == (True, False)
    assert Feed.objects.get(name="tb").fasta_rules.plus_in_ids


def test_acknowledged_rejections_stay_rejected(make_feed: MakeFeed) -> None:
    feed = make_feed("tb")
    add_object(feed, "bad", ObjectState.REJECTED)
    assert "1 rejected file of 'tb' would be acknowledged" in feed_command("acknowledge", "tb", "--dry-run")
    assert "1 rejected file " in feed_command("acknowledge", "tb")
    assert "0 rejected files" in feed_command("acknowledge", "tb")
    assert BucketObject.objects.get().state == ObjectState.REJECTED
