"""One feed, one attempt, one file, one sample: what their pages say, and what their buttons do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from batches.models import Batch, BatchRecord
from core.charts import Chart, Series
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt, Server
from sandbox.clients import Fn4Sandbox

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)


@pytest.fixture
def client() -> Client:
    """An operator, as the migration makes them."""
    one = User.objects.create_user("operator")
    one.groups.add(Group.objects.get(name="operators"))
    client = Client()
    client.force_login(one)
    return client


@pytest.fixture
def feed() -> Feed:
    server = Server.objects.create(identity="http://127.0.0.1:1", url="http://127.0.0.1:1", number_in_server=7)
    return Feed.objects.create(name="tb", server=server, store_url="file:///nowhere", store_digest="d", checked_at=WHEN)


def file(of: Feed, seqid: str, state: ObjectState, **columns: object) -> BucketObject:
    values = {"version": seqid, "etag": "e", "size": 1, "created": WHEN, "first_seen": WHEN, "state": state, **columns}
    return BucketObject.objects.create(feed=of, name=f"in/{seqid}.fasta", seqid=seqid, **values)


def words(response: object) -> str:
    html = response.content.decode().partition("<main")[2]  # type: ignore[attr-defined]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    return text.replace("&#x27;", "'")


def test_a_feed_shows_where_it_stands_and_why(client: Client, feed: Feed) -> None:
    file(feed, "a", ObjectState.WAITING, created=timezone.now() - timedelta(hours=5))
    file(feed, "b", ObjectState.REJECTED)
    Feed.objects.update(paused_at=WHEN, pause_reason="the proxy refuses <big> files")
    text = words(client.get("/feeds/tb/"))
    assert "Paused since 2026-01-31 18:25:03 the proxy refuses &lt;big&gt; files" in text
    assert "Waiting 1 oldest: 5 hours ago" in text
    assert "Rejected 1" in text
    assert client.get("/feeds/nothing/").status_code == 404


def test_a_feed_draws_its_attempts_and_its_server_with_few_queries(client: Client, feed: Feed) -> None:
    now = timezone.now()
    for minutes, outcome in (
        (1, AttemptOutcome.INSERTED),
        (2, AttemptOutcome.INSERTED),
        (3, AttemptOutcome.REJECTED),
        (60 * 30, "failed"),
    ):
        LoadAttempt.objects.create(feed=feed, outcome=outcome, bucket_read_start_time=now - timedelta(minutes=minutes))
    BatchLoad.objects.create(feed=feed, check_time=now, number_in_server=7)
    client.get("/feeds/tb/")
    with CaptureQueriesContext(connection) as queries:
        text = words(client.get("/feeds/tb/"))
    assert len(queries) <= 13
    assert "loaded 2 already there 0 will retry 0 rejected 1" in text
    assert "will retry 1" in words(client.get("/feeds/tb/?span=week"))
    assert client.get("/feeds/tb/?span=nonsense").status_code == 200


def test_bars_stand_on_each_other_and_gaps_stay_gaps() -> None:
    moments = [WHEN + timedelta(hours=number) for number in range(4)]
    chart = Chart("t", moments, [Series("a", "blue", [1, 2, 0, None]), Series("b", "red", [1, 1, 0, 0])])
    assert chart.top == 4
    first, second = chart.rendered
    assert [(bar.y, bar.height) for bar in first.bars] == [(75, 25), (50, 50)]
    assert [(bar.y, bar.height) for bar in second.bars] == [(50, 25), (25, 25)]
    line = Chart("t", moments, [Series("a", "blue", [None, 5, None, 10], line=True)]).rendered[0]
    assert line.path == "M333.3 50.0L1000.0 0.0"
    assert Chart("t", moments, [Series("a", "blue", [0, None])]).empty


def test_an_operator_pauses_and_resumes_a_feed_and_the_trail_says_who(client: Client, feed: Feed) -> None:
    assert "tb loads nothing until it is resumed" in words(client.get("/feeds/tb/pause/"))
    assert client.post("/feeds/tb/pause/", {"reason": ""}).status_code == 400
    response = client.post("/feeds/tb/pause/", {"reason": "the server moves"}, follow=True)
    assert "tb paused: the server moves" in words(response)
    assert Feed.objects.get().pause_reason == "the server moves"
    assert "tb is already paused" in words(client.post("/feeds/tb/pause/", {"reason": "x"}, follow=True))
    assert "Reason of the pause: the server moves" in words(client.get("/feeds/tb/resume/"))
    client.post("/feeds/tb/resume/")
    assert Feed.objects.get().paused_at is None
    trail = LogEntry.objects.order_by("pk").values_list("user__username", "object_repr", "change_message")
    assert list(trail) == [
        ("operator", "tb", "Pause: tb paused: the server moves"),
        ("operator", "tb", "Resume: tb resumed."),
    ]


@pytest.mark.parametrize(("act", "function"), [("load", "load_feed"), ("reconcile", "reconcile_feed")])
def test_long_work_is_left_to_a_job(client: Client, feed: Feed, act: str, function: str) -> None:
    assert "qcluster" in words(client.get(f"/feeds/tb/{act}/"))
    assert "of tb queued" in words(client.post(f"/feeds/tb/{act}/", follow=True))
    task = OrmQ.objects.get().task
    assert (task["func"], task["args"]) == (f"loader.tasks.{function}", (feed.pk,))


def test_a_paused_feed_is_not_loaded_by_a_button(client: Client, feed: Feed) -> None:
    Feed.objects.update(paused_at=WHEN)
    assert "Resume it first" in words(client.post("/feeds/tb/load/", follow=True))
    assert not OrmQ.objects.exists()


def test_rejected_files_are_tried_again_and_accepted_all_at_once(client: Client, feed: Feed) -> None:
    for name, reason in (("a", "empty"), ("b", "multifasta"), ("c", "empty")):
        file(feed, name, ObjectState.REJECTED, reason=reason)
    assert "3 rejected files of tb will be queued again" in words(client.get("/feeds/tb/retry/"))
    client.post("/feeds/tb/retry/", {"reason": "empty"})
    assert list(BucketObject.objects.filter(state=ObjectState.WAITING).values_list("seqid", flat=True)) == ["a", "c"]
    assert "1 rejected file of tb acknowledged" in words(client.post("/feeds/tb/acknowledge/", follow=True))
    assert BucketObject.objects.get(seqid="b").acknowledged_at


def test_a_rejected_file_shows_its_reason_and_first_lines_and_is_accepted_or_tried_again(
    client: Client, feed: Feed
) -> None:
    one = file(feed, "a", ObjectState.REJECTED, reason="2 records in one file")
    LoadAttempt.objects.create(bucket_object=one, outcome=AttemptOutcome.REJECTED, first_128_chars=">a\nACGT\n>b")
    text = words(client.get(f"/files/{one.pk}/"))
    assert "2 records in one file" in text
    assert "&gt;a ACGT &gt;b" in text
    assert "in/a.fasta acknowledged" in words(client.post(f"/files/{one.pk}/accept/", follow=True))
    assert "already acknowledged" in words(client.post(f"/files/{one.pk}/accept/", follow=True))
    client.post(f"/files/{one.pk}/again/")
    one.refresh_from_db()
    assert (one.state, one.acknowledged_at) == (ObjectState.WAITING, None)


def test_a_sample_with_unproven_links_is_listed_exported_explained_and_acknowledged(client: Client, feed: Feed) -> None:
    why = "its links are missing: s1 was there before"
    one = file(feed, "a", ObjectState.LOADED, result=LoadResult.UNPROVEN, reason=why)
    file(feed, "b", ObjectState.LOADED, result=LoadResult.INSERTED)
    listed = words(client.get("/files/?result=unproven"))
    assert ("in/a.fasta" in listed, "in/b.fasta" in listed) == (True, False)
    export = b"".join(client.get("/files/?result=unproven&export=csv")).decode()
    assert ("unproven" in export, "in/b.fasta" in export) == (True, False)
    assert f"but its links are unproven: {why}" in words(client.get("/sample/?id=a"))
    assert why in words(client.get(f"/files/{one.pk}/"))
    assert "1 sample with unproven links of tb stay" in words(client.get("/feeds/tb/acknowledge/"))
    assert "in/a.fasta acknowledged" in words(client.post(f"/files/{one.pk}/accept/", follow=True))
    one.refresh_from_db()
    assert (one.state, one.result, bool(one.acknowledged_at)) == ("loaded", "unproven", True)


def test_an_attempt_is_a_timeline(client: Client, feed: Feed) -> None:
    def at(seconds: float) -> datetime:
        return WHEN + timedelta(seconds=seconds)

    one = file(feed, "a", ObjectState.LOADED)
    attempt = LoadAttempt.objects.create(
        feed=feed,
        bucket_object=one,
        seqid="a",
        outcome=AttemptOutcome.INSERTED,
        bucket_read_start_time=at(600),
        bucket_read_end_time=at(600.25),
        insert_start_time=at(600.5),
        insert_end_time=at(603),
        lock_waits=2,
    )
    text = words(client.get(f"/attempts/{attempt.pk}/"))
    assert "Waited 0:10:00" in text
    assert "Read 250 ms" in text
    assert "Parsed 250 ms" in text
    assert "Inserted 2.5 s" in text
    assert "server busy 2 times (HTTP 409)" in text
    old = LoadAttempt.objects.create(seqid="old", insert_status_code=201, completed=0)
    assert "Older loader" in words(client.get(f"/attempts/{old.pk}/"))


def test_a_feed_is_tested_by_a_button_and_nothing_is_kept(client: Client, feed: Feed, tmp_path: Path) -> None:
    Feed.objects.update(store_url=f"file://{tmp_path}")
    text = words(client.post("/feeds/tb/test/"))
    assert "ok store lists" in text
    assert "failed server answers" in text
    assert not LoadAttempt.objects.exists()


SENTENCES = [
    ({"state": ObjectState.LOADED, "result": LoadResult.INSERTED}, "s1 is loaded: in http://127.0.0.1:1, "),
    ({"state": ObjectState.LOADED, "result": LoadResult.CONFLICTING}, "(conflict: the server keeps another sequence)"),
    (
        {"state": ObjectState.REJECTED, "reason": "it is empty"},
        "s1 is not loaded. in/s1.fasta of feed tb was rejected: it is empty",
    ),
    (
        {"state": ObjectState.GONE},
        "s1 is not loaded. in/s1.fasta was deleted from the bucket of feed tb before it was loaded.",
    ),
    ({"state": ObjectState.WAITING}, ": queued."),
]


@pytest.mark.parametrize(("columns", "sentence"), SENTENCES)
def test_one_sentence_says_whether_a_sample_is_in_or_why_not(
    client: Client, feed: Feed, columns: dict[str, object], sentence: str
) -> None:
    file(feed, "s1", done_at=WHEN, **columns)  # type: ignore[arg-type]
    assert sentence in words(client.get("/sample/?id=s1"))


def test_a_sample_that_waits_for_a_paused_feed_says_so(client: Client, feed: Feed) -> None:
    file(feed, "s1", ObjectState.WAITING)
    Feed.objects.update(paused_at=WHEN)
    assert "feed tb is paused" in words(client.get("/sample/?id=s1"))


def test_a_sample_of_an_older_loader_is_found_and_an_unknown_one_is_said_to_be(client: Client, feed: Feed) -> None:
    LoadAttempt.objects.create(seqid="s9", insert_status_code=201, completed=0, findneighbour_server_url="http://old")
    assert "s9 is loaded: in http://old (older loader)" in words(client.get("/sample/?id=s9"))
    assert "s8 is unknown" in words(client.get("/sample/?id=s8"))
    assert client.get("/sample/?id=%00%27%3Cscript%3E").status_code == 200


def test_a_sample_shows_its_neighbours_of_the_same_load(client: Client, feed: Feed) -> None:
    load = BatchLoad.objects.create(feed=feed)
    for number in range(12):
        LoadAttempt.objects.create(feed=feed, batch_load=load, seqid=f"n{number:02}", outcome=AttemptOutcome.INSERTED)
    text = words(client.get("/sample/?id=n06"))
    assert re.findall(r"n\d\d", text.partition("Neighbours")[2]) == [
        f"n{number:02}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
    ]


@pytest.fixture(scope="module")
def fn4() -> Iterator[Fn4Sandbox]:
    with Fn4Sandbox(10) as server:
        yield server


def test_a_server_is_asked_live_and_one_that_is_away_is_no_error(client: Client, feed: Feed, fn4: Fn4Sandbox) -> None:
    assert "no answer" in client.get("/sample/ask/tb/?id=s1").content.decode()
    Server.objects.update(url=fn4.url)
    assert "does not hold it" in client.get("/sample/ask/tb/?id=s1").content.decode()


def test_search_finds_samples_files_and_records_by_their_beginning(client: Client, feed: Feed) -> None:
    file(feed, "s1", ObjectState.LOADED, guid="other-id")
    file(feed, "s2", ObjectState.LOADED)
    file(feed, "s2", ObjectState.REJECTED, version="newer", reason="it is empty")
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE")
    BatchRecord.objects.create(batch=batch, row=1, key="k", key_digest="d", identifier="s.2026.1")
    text = words(client.get("/search/?q=s"))
    assert "s1 Loaded tb s2 Rejected tb it is empty" in text
    assert "s.2026.1 batch plc, row 1" in text
    assert client.get("/search/?q=s1")["location"] == "/sample/?id=s1"
    assert client.get("/search/?q=other")["location"] == "/sample/?id=other-id"
    assert client.get("/search/?q=in/s2.fasta")["location"] == "/sample/?id=s2"
    assert "No results begin with" in words(client.get("/search/?q=S1"))
    assert client.get("/search/").status_code == 200


def test_search_inside_names_wants_a_feed_and_a_span(client: Client, feed: Feed) -> None:
    file(feed, "abc-123", ObjectState.LOADED)
    found = f"/search/?q=c-12&feed={feed.pk}&since=2026-01-31T00:00&until="
    assert "abc-123" in words(client.get(found + "2026-02-01T00:00"))
    long = words(client.get(found + "2026-06-01T00:00"))
    assert "31 days or less" in long
    assert "This field is required" in words(client.get("/search/", {"q": "c-12", "feed": ""}))


def test_who_may_not_see_a_half_does_not_find_it(feed: Feed) -> None:
    file(feed, "s1", ObjectState.LOADED)
    file(feed, "s2", ObjectState.LOADED)
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    assert "s1" not in words(client.get("/search/?q=s"))
    assert client.get("/sample/?id=s1").status_code == 403


def test_a_feed_shows_what_its_rules_make_of_names_and_what_is_left_out(client: Client, feed: Feed) -> None:
    file(feed, "s1.2", ObjectState.REJECTED)
    left_out = [{"ending": ".seq", "number": 1234, "example": "a/<b>.seq"}]
    Feed.objects.update(left_out=left_out, store_url="oci://q@ns/run1*")
    text = words(client.get("/feeds/tb/"))
    assert "in/s1.2.fasta sample s1 (up to the first dot: s1; without the ending: s1.2)" in text
    assert ".seq 1,234 (such as a/&lt;b&gt;.seq)" in text
    assert "python manage.py feed set tb --endings" in text
    assert "all names that begin with 'run1'" in text


def test_the_form_of_a_feed_shows_both_rules_on_its_last_names_and_refuses_what_is_no_ending(feed: Feed) -> None:
    file(feed, "s1.2", ObjectState.REJECTED)
    BucketObject.objects.update(seqid="s1")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    page = f"/admin/loader/feed/{feed.pk}/change/"
    shown = boss.get(page)
    assert "in/s1.2.fasta: up to the first dot <b>s1</b>, without the ending <b>s1.2</b>" in shown.content.decode()
    names = shown.context["adminform"].form.fields
    form = {name: value for name in names if (value := getattr(feed, name)) is not None and value is not False}
    refused = boss.post(page, form | {"sample_id_rule": "ending", "endings": "a/b"})
    assert "is not an ending" in refused.content.decode()
    saved = boss.post(page, form | {"sample_id_rule": "ending", "endings": ".fasta, .seq"})
    assert saved.status_code == 302, saved.context["adminform"].form.errors
    feed.refresh_from_db()
    assert (feed.sample_id_rule, feed.name_rules.endings) == ("ending", (".fasta", ".seq"))
    assert BucketObject.objects.get().seqid == "s1.2"
