"""The operator's way with a sample sheet: upload, choose the column, see what is missing and why, export it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from django.utils import timezone
from openpyxl.worksheet.worksheet import Worksheet

from batches.models import Batch, BatchRecord
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server
from tests.support.browser import SHAPES, Visit

pytestmark = pytest.mark.django_db(transaction=True)
WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def rows() -> None:
    server = Server.objects.create(identity="https://fn4.example.org/tb", url="https://fn4.example.org/tb")
    feed = Feed.objects.create(name="tb-leeds", server=server, store_url="oci://queue@ns", store_digest="d")
    states = (
        ("L-001", ObjectState.LOADED, LoadResult.INSERTED, ""),
        ("L-002", ObjectState.LOADED, LoadResult.CONFLICTING, ""),
        ("L-003", ObjectState.REJECTED, "", "the sequence has 29,120 letters; the server's reference has 29,903"),
        ("L-004", ObjectState.WAITING, "", ""),
        ("L-005", ObjectState.WAITING, "", "HTTP 500: the server's database is unavailable"),
    )
    for number, (sample, state, result, reason) in enumerate(states):
        BucketObject.objects.create(
            feed=feed, name=f"{sample}.fasta", version=str(number), etag="e", size=1, created=WHEN, first_seen=WHEN,
            seqid=sample, state=state, result=result, reason=reason,
            done_at=WHEN if state in (ObjectState.LOADED, ObjectState.REJECTED) else None,
        )  # fmt: skip
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE")
    BatchRecord.objects.create(
        batch=batch, row=3, key="k", key_digest="k", identifier="1984.12", action="CREATE", upload_outcome="success",
        ingest_outcome="failure", ingest_message="409 Client Error: a record with number '1984.12' exists",
    )  # fmt: skip


def sheet(folder: Path) -> Path:
    book, path = openpyxl.Workbook(), folder / "runs.xlsx"
    assert isinstance(book.active, Worksheet)
    book.active.append(["barcode", "place", "run"])
    for number in range(1, 7):
        book.active.append([f"L-{number:03}", "Leeds", number])
    book.save(path)
    return path


@pytest.mark.parametrize(("scheme", "width"), SHAPES)
def test_a_sample_sheet_is_uploaded_its_column_chosen_and_what_is_missing_exported(
    visit: Visit, tmp_path: Path, scheme: str, width: int
) -> None:
    page = visit.page
    visit.show_as(scheme, width)
    visit.go("/samples/")
    visit.log_in("viewer")
    ready(visit, f"samples-form-{scheme}-{width}", width)
    page.set_input_files("[name=file]", sheet(tmp_path))
    page.click("main button.primary")
    assert "Which column has the ids?" in visit.words()
    ready(visit, f"samples-columns-{scheme}-{width}", width)
    page.check("text=barcode")
    page.click("main button.primary")
    assert "4 of 6 are not in" in visit.words()
    assert (
        visit.words().index("L-006")
        < visit.words().index("L-003")
        < visit.words().index("L-002")
        < visit.words().index("L-001")
    )
    ready(visit, f"samples-result-{scheme}-{width}", width)
    with page.expect_download() as download:
        page.click("text=CSV")
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert (len(lines), lines[1].split(",")[:2]) == (7, ["L-006", "unknown"])
    page.click("text=L-003")
    assert "29,120 letters" in visit.words()
    assert visit.console_errors == []
    assert visit.external_requests == []


def test_pasted_identifiers_of_records_and_mistakes(visit: Visit) -> None:
    page = visit.page
    visit.go("/samples/")
    visit.log_in("viewer")
    page.click("main button.primary")
    assert "Paste ids, or choose a file." in visit.words()
    ready(visit, "samples-mistake", 1280)
    assert not page.is_visible("text=Only those that need work")
    page.check("text=Records of batches")
    assert page.is_visible("text=Only those that need work")
    assert not page.is_visible("[name=server]")
    page.fill("textarea", "1984.12\n1984.13\n")
    page.click("main button.primary")
    assert "2 of 2 are not ingested" in visit.words()
    assert "409 Client Error" in visit.words()
    ready(visit, "samples-records", 1280)


@pytest.mark.parametrize(("scheme", "width"), SHAPES)
def test_a_feeds_page_says_when_it_will_be_done(visit: Visit, scheme: str, width: int) -> None:
    feed, now = Feed.objects.get(), timezone.now()
    made = []
    for number in range(300):
        end = now - number * timedelta(seconds=20)
        start = end - timedelta(milliseconds=31)
        ready_at = start - timedelta(milliseconds=19)
        made.append(
            LoadAttempt(
                feed=feed, server=feed.server, seqid=f"a{number}", outcome=AttemptOutcome.INSERTED, insert_status_code=200,
                bucket_read_start_time=ready_at - timedelta(milliseconds=60), bucket_read_end_time=ready_at,
                insert_start_time=start, insert_end_time=end,
            )
        )  # fmt: skip
    LoadAttempt.objects.bulk_create(made)
    visit.show_as(scheme, width)
    visit.go("/feeds/tb-leeds/")
    visit.log_in("viewer")
    assert "When will it be done? At about" in visit.words()
    assert "bottleneck" in visit.words()
    ready(visit, f"feed-outlook-{scheme}-{width}", width)


def ready(visit: Visit, name: str, width: int) -> None:
    """The page as it is now: no serious issue, no wider than the screen."""
    visit.take_picture(name)
    assert visit.serious_violations() == [], name
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, name
