"""Samples that a server stored and can't use: marked in the ledger by one question a pass, and put back when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.feeds.manage import client_for
from loader.ledger.invalid_samples import update_invalid
from loader.models import BucketObject, Feed, Server
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object

USELESS = "N" * LENGTH


@pytest.fixture
def fn4() -> Iterator[Fn4Sandbox]:
    with Fn4Sandbox(LENGTH) as server:
        yield server


def update(feed: Feed, number: int) -> int | None:
    Server.objects.filter(pk=feed.server_id).update(number_in_server=number)
    with closing(client_for(feed)) as client:
        return update_invalid(feed.server, client, "default")


def results() -> dict[str, str]:
    return dict(BucketObject.objects.values_list("seqid", "result"))


def test_loaded_files_of_the_servers_feeds_are_marked_and_nothing_else(make_feed: MakeFeed, fn4: Fn4Sandbox) -> None:
    feed, second, other = make_feed("tb", fn4.url), make_feed("tb2", fn4.url), make_feed("covid")
    for guid in ("bad", "in-file", "two-files", "theirs", "unsure", "elsewhere", "waits"):
        fn4.insert(guid, USELESS)
    fn4.insert("good", REFERENCE)
    loaded = ObjectState.LOADED
    add_object(feed, "bad", loaded, guid="bad", result=LoadResult.INSERTED)
    add_object(feed, "name", loaded, guid="in-file", result=LoadResult.FOUND)
    add_object(feed, "two-files", loaded, result=LoadResult.PRESENT)
    add_object(second, "copy", loaded, guid="two-files", result=LoadResult.SAME)
    add_object(feed, "theirs", loaded, guid="theirs", result=LoadResult.CONFLICTING)
    add_object(feed, "unsure", loaded, guid="unsure", result=LoadResult.UNPROVEN)
    add_object(feed, "good", loaded, guid="good", result=LoadResult.INSERTED)
    add_object(feed, "waits")
    add_object(other, "elsewhere", loaded, guid="elsewhere", result=LoadResult.INSERTED)
    assert update(feed, 8) == 7
    assert results() == {
        "bad": "invalid",
        "name": "invalid",
        "two-files": "invalid",
        "copy": "invalid",
        "theirs": "conflicting",
        "unsure": "unproven",
        "good": "inserted",
        "waits": "",
        "elsewhere": "inserted",
    }
    assert Server.objects.get(pk=feed.server_id).invalid_in_server == 7


def test_it_asks_again_only_when_the_number_of_samples_has_changed(make_feed: MakeFeed, fn4: Fn4Sandbox) -> None:
    feed = make_feed("tb", fn4.url)
    assert update(feed, 1) == 0
    assert update(feed, 1) is None
    assert update(feed, 2) == 0
    assert fn4.requests(path_prefix="/api/v2/invalid_guids") == 2


def test_files_whose_samples_are_gone_get_the_result_of_their_last_attempt(
    make_feed: MakeFeed, fn4: Fn4Sandbox
) -> None:
    feed = make_feed("tb", fn4.url)
    outcomes = {
        "a": AttemptOutcome.INSERTED,
        "b": AttemptOutcome.FOUND,
        "c": AttemptOutcome.PRESENT,
        "kept": AttemptOutcome.INSERTED,
    }
    for seqid, outcome in outcomes.items():
        item = add_object(feed, seqid, ObjectState.LOADED, guid=seqid, result=LoadResult.INVALID)
        add_attempt(item, AttemptOutcome.FAILED)
        add_attempt(item, outcome)
    add_object(feed, "adopted", ObjectState.LOADED, result=LoadResult.INVALID, reason="completed by an older loader")
    BucketObject.objects.filter(seqid="c").update(reason="the server holds it, but does not compare it: too many N")
    fn4.insert("kept", USELESS)
    assert update(feed, 1) == 1
    assert results() == {"a": "inserted", "b": "found", "c": "present", "kept": "invalid", "adopted": "present"}
    reasons = set(BucketObject.objects.values_list("reason", flat=True))
    assert reasons == {"", "completed by an older loader"}


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 404}, {"kind": "status", "status": 500}])
def test_a_server_that_does_not_tell_changes_nothing_and_is_asked_again(
    make_feed: MakeFeed, fn4: Fn4Sandbox, fault: dict[str, object]
) -> None:
    feed = make_feed("tb", fn4.url)
    add_object(feed, "s1", ObjectState.LOADED, guid="s1", result=LoadResult.INVALID)
    fn4.faults({**fault, "path": "invalid_guids"})
    assert update(feed, 1) is None
    assert results() == {"s1": "invalid"}
    fn4.clear_faults()
    assert update(feed, 1) == 0


def test_a_pass_marks_what_it_loaded_itself_and_passes_on_without_asking_when_nothing_is_new(feeding: Feeding) -> None:
    feeding.put_samples("good")
    feeding.put("bad.fasta", fasta("bad", USELESS))
    assert feeding.load().returncode == 0
    assert feeding.objects("seqid, state, result") == [("bad", "loaded", "invalid"), ("good", "loaded", "inserted")]
    assert feeding.manage.rows("SELECT invalid_in_server FROM loader_server") == [(1,)]
    assert feeding.load().returncode == 0
    feeding.fn4.clear_log()
    assert feeding.load().returncode == 0
    assert feeding.fn4.requests(path_prefix="/api/v2/invalid_guids") == 0


def test_a_pass_of_a_server_without_the_question_is_a_good_one(feeding: Feeding) -> None:
    feeding.put_samples("good")
    feeding.fn4.faults({"kind": "status", "status": 404, "path": "invalid_guids"})
    result = feeding.load()
    assert result.returncode == 0, result.stderr
    assert feeding.objects("result") == [("inserted",)]


def test_reconcile_counts_them_apart_and_they_are_no_difference(feeding: Feeding) -> None:
    feeding.put("bad.fasta", fasta("bad", USELESS))
    assert feeding.load().returncode == 0
    told = feeding.manage("feed", "reconcile", feeding.bucket)
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, "invalid  bad  bad.fasta  too many N to be compared")
    assert "1 invalid" in told.stdout.splitlines()[1]
    ((feed,),) = feeding.manage.rows("SELECT id FROM loader_feed")
    told = feeding.manage(
        "shell", "-v0", "-c", f"from loader.tasks import reconcile_feed; print(reconcile_feed({feed}))"
    )
    assert "1 invalid" in told.stdout, told.stderr
    assert feeding.manage.rows("SELECT count(*) FROM loader_finding") == [(0,)]
