"""The pages of batches: the list, one batch, what may be done with it and by whom, and what can be downloaded."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from batches import tasks
from batches.choices import BatchStatus, CheckKind, StepKind, UploadOutcome, Verdict
from batches.ingest.check import check
from batches.ingest.rule import CheckOptions
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck, IngestCount
from batches.reports import ingest_report
from batches.views import actions
from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db
VIEW, CHANGE, DELETE = "batches.view_batch", "batches.change_batch", "batches.delete_batch"
QUICK = CheckOptions(0, 1, 1)
MOST_QUERIES = 20
"""Session, user and permissions; the batch, its counts, three for causes, four for corrections, its history; count and rows of
its records."""


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user(f"u{User.objects.count()}")
    codes = [permission.split(".")[1] for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="batches", codename__in=codes))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return client_with(VIEW, CHANGE, DELETE)


def words(client: Client, url: str) -> str:
    html = client.get(url, follow=True).content.decode().partition("<main")[2]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    return text.replace("&#x27;", "'").replace("&quot;", '"')


def download(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]


def ended(batch: Batch) -> Batch:
    """Checks it until it has its result."""
    check(batch, QUICK, asked_by="morgan")
    batch.refresh_from_db()
    return batch


def listed(client: Client, query: str) -> set[str]:
    links = re.findall(r'href="/batches/(\w+)/"', client.get(f"/batches/{query}").content.decode())
    return set(links) - {"summary"}


def test_the_list_is_filtered_by_what_specialists_ask(operator: Client) -> None:
    now = timezone.now()
    made: dict[str, dict[str, Any]] = {
        "new": {"rectype": "person"},
        "cut": {"upload_started": now, "rectype": "place"},
        "up": {"status": "uploaded", "upload_started": now, "upload_finished": now, "action": "UPDATE"},
        "done": {"status": "ingested", "ingest_errs": 0, "added_at": now - timedelta(days=9)},
        "bad": {"status": "ingested", "ingest_errs": 3},
        "old": {"status": "ingested", "ingest_errs": 0, "archived_at": now},
    }
    for bid, columns in made.items():
        Batch.objects.create(**({"bid": bid, "rectype": "media", "action": "CREATE"} | columns))
    found = {
        "": {"new", "cut", "up", "done", "bad"},
        "?q=n": {"new"},
        "?q=Per": {"new"},
        "?step=upload": {"new", "cut"},
        "?step=ingstat": {"up"},
        "?step=none": {"done", "bad"},
        "?errors=1": {"bad"},
        "?when=week": {"new", "cut", "up", "bad"},
        "?action=UPDATE": {"up"},
        "?rectype=place": {"cut"},
        "?status=added": {"new", "cut"},
        "?archived=only": {"old"},
        "?archived=too": set(made),
        "?archived=nonsense": set(),
    }
    assert {query: listed(operator, query) for query in found} == found
    assert "bad ingested, with errors media create" in words(operator, "/batches/")
    assert "cut upload cut off place" in words(operator, "/batches/?sort=stands")


def test_both_files_of_the_list_hold_what_is_filtered(operator: Client, shelf: Shelf) -> None:
    shelf.batch("plc", "a")
    shelf.batch("other", "b", rectype="person")
    exported = download(operator, "/batches/?export=csv&q=pl").removeprefix("\ufeff")
    assert [line.split(",")[0] for line in exported.splitlines()] == [
        "bid",
        "plc",
    ]
    lines = download(operator, "/batches/?export=batches&rectype=person").splitlines()
    assert lines[0].startswith("id,source_csv,mappable_rectype,action,batch_status,rec_ct,")
    assert [line.split(",")[:1] for line in lines[1:]] == [["other"]]


def test_a_batch_says_where_it_stands_why_records_failed_and_who_did_what(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a", "b<i>", "c")
    assert "in ingest" in words(operator, "/batches/plc/")
    assert "Not checked since its upload." in words(operator, "/batches/plc/")
    shelf.ingest(batch, "a")
    ended(batch)
    BatchRecord.objects.filter(identifier="c").update(ingest_message="409: number 12345 exists")
    text = words(operator, "/batches/plc/")
    assert "ingested, with errors" in text
    assert "1 409: number <n> exists".replace("<", "&lt;").replace(">", "&gt;") in text
    assert re.search(r"Check [\d :-]+ · morgan 2 objects remaining: complete, with errors", text)
    assert "python manage.py batch add NEW FOLDER --corrects plc" in text
    assert "b&lt;i&gt;" in text


def test_its_records_are_filtered_searched_and_exported(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "apple", "apricot", "plum")
    shelf.batch("oth", "apple")
    shelf.ingest(batch, "apple")
    ended(batch)
    key = shelf.key("plc", "plum")
    for query, found in {
        "": ["apple", "apricot", "plum"],
        "q=ap": ["apple", "apricot"],
        f"q={key}": ["plum"],
        "ingest=failure": ["apricot", "plum"],
        "ingest=failure&q=ap": ["apricot"],
        "upload=success&ingest=success": ["apple"],
        "sort=-row": ["plum", "apricot", "apple"],
    }.items():
        lines = download(operator, f"/batches/plc/?export=csv&{query}").splitlines()
        assert [line.split(",")[0] for line in lines[1:]] == found, query
    assert "No matches" in words(operator, "/batches/plc/?q=pear")


def test_the_curve_is_drawn_from_the_counts_with_the_expected_end(operator: Client, shelf: Shelf) -> None:
    batch, now = shelf.batch("plc", "a"), timezone.now()
    Batch.objects.update(upload_finished=now - timedelta(hours=1))
    one = IngestCheck.objects.create(
        batch=batch,
        kind=CheckKind.TICK,
        started_at=now,
        finished_at=now,
        store="s",
        sleep_seconds=1,
        checks=1,
        rechecks=1,
        remaining=10,
        asked_by="schedule",
        host="h",
    )
    for number, left in enumerate((100, 70, 40, 10), 1):
        when = now - timedelta(minutes=40 - 10 * number)
        IngestCount.objects.create(
            check_run=one, number=number, counted_at=when, remaining=left, digest="d", foreign=0, invalid=0
        )
    html = operator.get("/batches/plc/").content.decode()
    assert "expected, at the earliest" in html
    assert "dashed" in html
    assert "3 objects per minute; expected to end" in words(operator, "/batches/plc/")


def test_a_page_asks_as_few_questions_for_a_long_history_as_for_none(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", *"abcdefgh")
    for _ in range(3):
        ended(batch)
        operator.post("/batches/plc/rollback-ingest/")
        batch.refresh_from_db()
    ended(batch)
    BatchStep.objects.bulk_create(BatchStep(batch=batch, kind=StepKind.UPLOAD, who="w", host="h") for _ in range(60))
    operator.get("/batches/plc/")
    with CaptureQueriesContext(connection) as queries:
        assert operator.get("/batches/plc/").status_code == 200
    assert len(queries) <= MOST_QUERIES, "\n".join(query["sql"] for query in queries)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "report/",
        "corrections/",
        "records/1/",
        "summary/",
        "check/",
        "rollback-ingest/",
        "rollback-upload/",
        "clear/",
        "archive/",
        "unarchive/",
    ],
)
def test_each_page_is_for_those_who_may_and_no_other(shelf: Shelf, path: str) -> None:
    ended(shelf.batch("plc", "a"))
    url = f"/batches/plc/{path}"
    looking = path in ("", "report/", "corrections/", "records/1/", "summary/")
    assert Client().get(url)["location"] == f"/login/?next={url}"
    assert Client().post(url).status_code == 302
    assert client_with().get(url).status_code == 403
    viewer = client_with(VIEW)
    assert viewer.get(url).status_code == (200 if looking else 403)
    assert viewer.post(url).status_code == (405 if looking else 403)
    if path == "clear/":
        assert client_with(VIEW, CHANGE).post(url).status_code == 403
    assert client_with(VIEW, CHANGE, DELETE).get("/batches/none/" + path).status_code == 404
    assert BatchStep.objects.count() == 0
    assert OrmQ.objects.count() == 0
    assert shelf.left()


def test_buttons_are_only_for_what_may_be_done_now_and_by_whom(operator: Client, shelf: Shelf) -> None:
    def buttons(client: Client) -> set[str]:
        html = client.get("/batches/plc/").content.decode()
        links = re.findall(r'class="button[^"]*"\s+href="/batches/plc/([\w-]+)/"', html)
        return set(links) - {"report", "corrections", "summary"}

    batch = shelf.batch("plc", "a")
    assert buttons(operator) == {"check", "rollback-upload"}
    assert buttons(client_with(VIEW)) == set()
    ended(batch)
    assert buttons(operator) == {"check", "rollback-ingest", "archive", "clear"}
    assert buttons(client_with(VIEW, CHANGE)) == {"check", "rollback-ingest", "archive"}
    Batch.objects.update(archived_at=timezone.now())
    assert buttons(operator) == {"unarchive"}


def test_a_result_is_taken_back_after_saying_what_that_means_and_written_down(operator: Client, shelf: Shelf) -> None:
    ended(shelf.batch("plc", "a", "b"))
    asked = words(operator, "/batches/plc/rollback-ingest/")
    assert "The ingest outcome of 2 records (0 ingested, 2 remaining) is cleared" in asked
    assert Batch.objects.get().status == BatchStatus.INGESTED
    said = operator.post("/batches/plc/rollback-ingest/", follow=True).content.decode()
    assert "Ingest result of plc undone" in said
    assert Batch.objects.get().status == BatchStatus.UPLOADED
    step = BatchStep.objects.get()
    assert (step.kind, step.who) == (StepKind.ROLLBACK_INGEST, User.objects.get().username)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_repr) == (step.who, "plc")
    assert "Undo ingest result: " in entry.get_change_message()
    again = operator.post("/batches/plc/rollback-ingest/", follow=True).content.decode()
    assert "plc has no ingest result to undo" in again
    assert LogEntry.objects.count() == 1


def test_an_upload_is_only_taken_back_when_nothing_of_it_is_in_the_bucket(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a", "b")
    refused = words(operator, "/batches/plc/rollback-upload/")
    assert "2 objects of plc are still in the bucket" in refused
    shelf.ingest(batch, "a", "b")
    assert "2 records left the bucket and may have been ingested" in words(operator, "/batches/plc/rollback-upload/")
    operator.post("/batches/plc/rollback-upload/")
    assert shelf.outcomes(batch) == [UploadOutcome.UNCERTAIN] * 2


def test_retried_objects_have_a_button_that_deletes_them_alone(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a", "b")
    ended(batch)
    assert "/batches/plc/clear-retried/" not in operator.get("/batches/plc/").content.decode()
    BatchRecord.objects.filter(identifier="a").update(retry_sign="put_again", retry_seen_at=timezone.now())
    assert "/batches/plc/clear-retried/" in operator.get("/batches/plc/").content.decode()
    asked = words(operator, "/batches/plc/clear-retried/")
    assert "Deletes 1 retried object of plc" in asked
    assert "batch objects plc --retried" in asked
    assert "Deleted 1 object of plc" in operator.post("/batches/plc/clear-retried/", follow=True).content.decode()
    assert shelf.left() == {shelf.key("plc", "b")}
    assert "/batches/plc/clear-retried/" not in operator.get("/batches/plc/").content.decode()


def test_a_clear_says_what_it_deletes_deletes_only_that_and_keeps_its_names(operator: Client, shelf: Shelf) -> None:
    ended(shelf.batch("plc", "apple", "plum"))
    shelf.batch("oth", "pear")
    asked = words(operator, "/batches/plc/clear/")
    assert "Deletes 2 objects of plc (12 bytes)" in asked
    assert re.search(r"apple, plum|plum, apple", asked)
    assert len(shelf.left()) == 3
    assert "Deleted 2 objects of plc" in operator.post("/batches/plc/clear/", follow=True).content.decode()
    assert shelf.left() == {shelf.key("oth", "pear")}
    (link,) = re.findall(r'href="(/batches/plc/cleared_\w+\.csv)"', operator.get("/batches/plc/").content.decode())
    assert "apple" in download(operator, link)
    assert client_with().get(link).status_code == 403
    assert operator.get(link.replace("plc", "oth")).status_code == 404
    assert operator.get("/batches/plc/cleared_20260101T000000000000Z.csv").status_code == 404
    assert "No objects of plc remain" in words(operator, "/batches/plc/clear/")


def test_more_than_a_page_can_wait_for_is_left_to_the_command(
    operator: Client, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MAX_OBJECTS_TO_CLEAR", 1)
    ended(shelf.batch("plc", "apple", "plum"))
    assert "manage.py batch clear plc" in words(operator, "/batches/plc/clear/")
    operator.post("/batches/plc/clear/")
    assert len(shelf.left()) == 2


def test_while_it_is_in_ingest_nothing_is_deleted_or_archived(operator: Client, shelf: Shelf) -> None:
    shelf.batch("plc", "apple")
    for path in ("clear", "archive"):
        assert "may still be ingesting" in words(operator, f"/batches/plc/{path}/")
        operator.post(f"/batches/plc/{path}/")
    assert len(shelf.left()) == 1
    assert Batch.objects.get().archived_at is None


def test_a_batch_is_archived_and_taken_out_again(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a")
    shelf.ingest(batch, "a")
    ended(batch)
    operator.post("/batches/plc/archive/")
    assert listed(operator, "") == set()
    assert "Archived: it can't be uploaded or checked." in words(operator, "/batches/plc/")
    operator.post("/batches/plc/unarchive/")
    assert listed(operator, "") == {"plc"}


def test_a_check_is_handed_to_the_jobs_and_stands_in_the_history_with_who_asked(
    operator: Client, shelf: Shelf, settings: Settings
) -> None:
    batch = shelf.batch("plc", "a")
    assert "python manage.py qcluster" in words(operator, "/batches/plc/check/")
    operator.post("/batches/plc/check/")
    assert IngestCheck.objects.count() == 0
    (queued,) = OrmQ.objects.all()
    task = queued.task
    assert task["func"] == "batches.tasks.check_batch"
    shelf.ingest(batch, "a")
    tasks.check_batch(*task["args"])
    found = IngestCheck.objects.get()
    assert (found.asked_by, found.verdict) == (User.objects.get().username, Verdict.COMPLETE)
    assert Batch.objects.get().status == BatchStatus.INGESTED


def test_after_a_result_was_taken_back_a_check_counts_at_once(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a")
    tasks.check_batch(batch.pk, "sam")
    tasks.check_batch(batch.pk, "sam")
    assert IngestCount.objects.count() == 1, "two counts so near to each other prove nothing"
    batch.refresh_from_db()
    ended(batch)
    operator.post("/batches/plc/rollback-ingest/")
    shelf.ingest(batch, "a")
    tasks.check_batch(batch.pk, "sam")
    assert Batch.objects.get().status == BatchStatus.INGESTED


def test_a_batch_whose_store_is_away_is_told_of_on_its_page(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a")
    Batch.objects.update(store_url="file:///nowhere-at-all")
    tasks.check_batch(batch.pk, "sam")
    assert "Check failing since" in words(operator, "/batches/plc/")
    assert "nowhere-at-all" in words(operator, "/batches/plc/rollback-upload/")


def test_the_report_is_the_file_that_ingstat_writes(operator: Client, shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a", "b")
    batch.source_columns = '["identifier"]'
    batch.save(update_fields=["source_columns"])
    ended(batch)
    path = ingest_report.write(batch)
    assert download(operator, "/batches/plc/report/?plain=1") == Path(path).read_text()
    assert download(operator, "/batches/plc/report/") == "\ufeff" + Path(path).read_text()
