"""`fnstatus`: what needs attention, each with since when and what to do, and nothing else."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from core.concerns import Concern, Level
from loader import concerns
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.concerns import loader_concerns
from loader.coordination.lease import Lease
from loader.feeds.manage import mark_running, mark_stopped
from loader.feeds.rejections import acknowledge
from loader.models import Feed, LoadAttempt, Server
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object

HOUR = timedelta(hours=1)


def kinds() -> list[str]:
    return [concern.kind for concern in loader_concerns().concerns]


def only() -> Concern:
    (concern,) = loader_concerns().concerns
    return concern


def test_a_feed_that_is_ok_is_not_a_concern(make_feed: MakeFeed) -> None:
    feed = make_feed(scheduled=True, checked_at=timezone.now())
    add_attempt(add_object(feed, "s1", ObjectState.LOADED), AttemptOutcome.INSERTED, insert_status_code=200)
    add_object(feed, "s2")
    out = StringIO()
    call_command("fnstatus", stdout=out)
    assert out.getvalue() == "All clear\n"


def test_monitors_get_a_document_and_the_exit_status(make_feed: MakeFeed) -> None:
    make_feed(paused_at=timezone.now() - HOUR, pause_reason="HTTP 413")
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("fnstatus", "--json", stdout=out)
    assert ended.value.code == 10
    (concern,) = json.loads(out.getvalue())["concerns"]
    assert set(concern) == {"kind", "level", "about", "what", "why", "way_out", "since"}
    assert (concern["kind"], concern["level"], concern["about"], concern["why"]) == (
        "feed_paused",
        "wrong",
        "tb",
        "HTTP 413",
    )
    assert "feed resume tb" in concern["way_out"]
    with pytest.raises(SystemExit):
        call_command("fnstatus", stdout=out)
    assert "ERROR: Feed tb is paused since " in out.getvalue()


def test_answers_other_than_200_and_201_count_for_a_day(make_feed: MakeFeed) -> None:
    item, now = add_object(make_feed(), "s1"), timezone.now()
    for status, hours in ((500, 1), (500, 2), (503, 3), (409, 30), (200, 1), (201, 1)):
        add_attempt(
            item,
            AttemptOutcome.FAILED,
            insert_status_code=status,
            insert_start_time=now - hours * HOUR,
            findneighbour_server_url="http://fn4",
        )
    concern = only()
    assert (concern.kind, concern.about) == ("wrong_statuses", "http://fn4")
    assert "HTTP 500 (2 times), HTTP 503 (1 times)" in concern.what
    assert concern.since == now - 3 * HOUR


def test_a_feed_that_should_run_and_is_silent_is_a_concern(make_feed: MakeFeed) -> None:
    now = timezone.now()
    feed = make_feed(checked_at=now - 2 * HOUR)
    assert kinds() == [], "it is not scheduled"
    Feed.objects.update(scheduled=True, created_at=now - 9 * HOUR)
    assert (only().kind, only().since) == ("feed_silent", now - 2 * HOUR)
    add_attempt(
        add_object(feed, "s1"),
        AttemptOutcome.INSERTED,
        bucket_read_start_time=now,
        insert_start_time=now,
        insert_status_code=200,
    )
    assert kinds() == [], "it inserts: a long batch"
    LoadAttempt.objects.all().delete()
    Server.objects.update(circuit_open_since=now, circuit_reason="refused")
    assert kinds() == ["server_away"], "one concern is enough"


def test_a_loader_that_died_is_missed_and_one_that_was_stopped_is_not(make_feed: MakeFeed) -> None:
    feed = make_feed()
    mark_running(feed, 30, "default")
    Feed.objects.update(created_at=timezone.now() - HOUR, running_since=timezone.now() - timedelta(seconds=80))
    assert kinds() == []
    Feed.objects.update(running_since=timezone.now() - timedelta(seconds=100))
    assert kinds() == ["feed_silent"], "its own --interval counts"
    mark_running(feed, 30, "default")
    assert kinds() == ["feed_silent"], "marking it as running again is not a sign of work"
    mark_stopped(feed, "default")
    assert kinds() == []


def test_each_other_feed_of_the_server_may_have_its_turn_first(make_feed: MakeFeed) -> None:
    make_feed("other")
    make_feed("tb", scheduled=True, interval=30, checked_at=timezone.now() - timedelta(seconds=100))
    Feed.objects.update(created_at=timezone.now() - HOUR)
    assert kinds() == []


def test_files_that_wait_longer_than_the_feed_allows_are_a_concern(make_feed: MakeFeed) -> None:
    now = timezone.now()
    item = add_object(make_feed(oldest_limit=600), "s1", created=now - 900 * HOUR, first_seen=now - HOUR / 10)
    assert kinds() == [], "it is old, and has just been put into the bucket"
    item.first_seen = now - HOUR
    item.save()
    assert (only().kind, only().since) == ("waiting_too_long", now - HOUR)


def test_rejected_files_are_a_concern_until_they_are_acknowledged(make_feed: MakeFeed) -> None:
    feed = make_feed()
    add_object(feed, "bad", ObjectState.REJECTED, reason="it is empty")
    assert only().kind == "files_rejected"
    acknowledge(feed, "default")
    assert kinds() == []
    add_object(feed, "worse", ObjectState.REJECTED, reason="it is empty")
    assert "1 file of feed tb" in only().what


def test_samples_with_unproven_links_are_a_concern_until_they_are_acknowledged(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    for seqid, at in (("s1", now - HOUR), ("s2", now)):
        add_object(feed, seqid, ObjectState.LOADED, result=LoadResult.UNPROVEN, done_at=at)
    add_object(feed, "s3", ObjectState.LOADED, result=LoadResult.INSERTED, done_at=now)
    concern = only()
    assert (concern.kind, concern.level, concern.since) == ("links_unproven", Level.WARNING, now - HOUR)
    assert "2 samples of feed tb" in concern.what
    assert (acknowledge(feed, "default").unproven, kinds()) == (2, [])


def test_a_lease_that_was_taken_over_is_reported_for_a_day(make_feed: MakeFeed) -> None:
    server = make_feed().server
    first, second = Lease(server, "default", "h1"), Lease(server, "default", "h2")
    assert first.acquire()
    first.release()
    assert second.acquire()
    assert kinds() == [], "it was released"
    Server.objects.update(lease_expires=timezone.now() - HOUR)
    assert kinds() == ["loader_vanished"]
    assert first.acquire()
    assert only().kind == "lease_taken_over"
    assert "on h2" in only().why
    Server.objects.update(taken_over_at=timezone.now() - 25 * HOUR)
    assert kinds() == []


def test_clocks_that_differ_are_a_concern(make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    make_feed(checked_at=timezone.now() + HOUR)
    assert kinds() == ["clock_jumped"]
    Feed.objects.update(checked_at=None)
    monkeypatch.setattr(concerns, "CLOCKS_APART", timedelta(seconds=-1))
    assert "clocks_apart" in kinds()


def test_it_reports_a_loader_that_was_killed(feeding: Feeding) -> None:
    from tests.support.waiting import until

    feeding.put_samples("s1")
    feeding.fn4.insert_seconds(5)
    process = feeding.start("--interval", "600")
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    process.kill()
    process.communicate()
    result = feeding.manage("fnstatus", "--json")
    assert result.returncode == 10, result.stderr
    assert [concern["kind"] for concern in json.loads(result.stdout)["concerns"]] == [
        "loader_vanished",
        "attempts_open",
    ]
    assert feeding.manage.rows("SELECT running_interval FROM loader_feed") == [(600.0,)]


def test_jobs_that_ran_once_and_run_no_more_are_missed(make_feed: MakeFeed) -> None:
    from core.models import JobRun
    from fnloader_site.monitoring.concerns import all_concerns
    from fnloader_site.schedules import sync_schedules

    sync_schedules()
    assert [concern.kind for concern in all_concerns()] == [], (
        "no cluster ever ran: somebody works with the commands only"
    )
    run = JobRun.objects.create(name="loader.tasks.prune", begun_at=timezone.now(), finished_at=timezone.now())
    assert [concern.kind for concern in all_concerns()] == []
    JobRun.objects.update(begun_at=timezone.now() - HOUR, finished_at=timezone.now() - HOUR)
    assert [concern.kind for concern in all_concerns()] == ["jobs_silent"]
    JobRun.objects.filter(pk=run.pk).update(begun_at=timezone.now(), failed_at=timezone.now(), error="broken")
    (concern,) = all_concerns()
    assert (concern.kind, concern.about, concern.why) == ("job_failing", "loader.tasks.prune", "broken")


def test_samples_that_the_server_lost_are_a_concern(make_feed: MakeFeed) -> None:
    make_feed(reconcile_lost=3, reconciled_at=timezone.now(), reconcile_said="3 lost")
    concern = only()
    assert (concern.kind, concern.about) == ("samples_lost", "tb")
    assert "feed reconcile tb --repair" in concern.command
