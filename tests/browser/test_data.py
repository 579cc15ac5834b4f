"""The operator's way from a warning to the samples behind it: too many N in a feed, and two servers that differ."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from core.digests import digest
from loader.choices import AttemptOutcome, LoadResult, ObjectState, TwinKind
from loader.models import BucketObject, Feed, LoadAttempt, Server, TwinComparison, TwinFinding
from tests.support.browser import SHAPES, Visit

pytestmark = pytest.mark.django_db(transaction=True)
RUNS = {"MVE-R1207-": (60, 2), "MVE-R1208-": (50, 31), "site-brisbane-2026-": (40, 9), "AUSMDU": (30, 0)}


@pytest.fixture
def feeds() -> list[Feed]:
    """Two feeds of one store, each with a server; the first has samples with too many N."""
    now, store, made = timezone.now(), "oci://samples@museum", []
    for name, held in (("tb-old", 8_180), ("tb-new", 8_176)):
        url = f"https://fn4-{name[3:]}.example.org/tb"
        server = Server.objects.create(
            identity=url, url=url, number_in_server=held, invalid_in_server=412, counted_at=now
        )
        made.append(
            Feed.objects.create(
                name=name, server=server, store_url=store, store_digest=digest(store), scheduled=True, checked_at=now
            )
        )
    add_samples(made[0])
    comparison = TwinComparison.objects.create(
        first=made[0].server, second=made[1].server, at=now, in_first=8_180, in_second=8_176, only_first=3, queued=2,
        only_second=1, validity_differs=1,
        summary="8,180 samples in the old server, 8,176 in the new one: 3 only in the old one, 1 only in the new one",
    )  # fmt: skip
    notes = {
        "MVE-R1207-001": (TwinKind.ONLY_FIRST, "rejected by feed tb-new: the file is empty"),
        "MVE-R1207-002": (TwinKind.ONLY_FIRST, "loaded by feed tb-new 2026-01-30 04:11:09, and no longer there"),
        "MVE-R1207-003": (TwinKind.ONLY_FIRST, "no feed of https://fn4-new.example.org/tb has seen its file"),
        "MVE-R1209-001": (TwinKind.QUEUED, "waits in feed tb-new"),
        "MVE-R1209-002": (TwinKind.QUEUED, "waits in feed tb-new: HTTP 502"),
        "stray-1": (TwinKind.ONLY_SECOND, "no feed of https://fn4-old.example.org/tb has seen its file"),
        "MVE-R1208-007": (TwinKind.VALIDITY, "too many N in https://fn4-old.example.org/tb"),
    }
    for guid, (kind, note) in notes.items():
        TwinFinding.objects.create(comparison=comparison, kind=kind, guid=guid, note=note)
    return made


def add_samples(feed: Feed) -> None:
    """The runs of RUNS, the newest ones today."""
    number = 0
    for prefix, (loaded, invalid) in RUNS.items():
        for place in range(loaded):
            number += 1
            age = timedelta(days=place % 12, hours=1)
            if prefix == "MVE-R1208-":
                age = timedelta(hours=2)
            at = timezone.now() - age
            guid = f"{prefix}{place:03}"
            file = BucketObject.objects.create(
                feed=feed, name=f"in/{guid}.fasta", version=str(number), etag="e", size=1, created=at, first_seen=at,
                seqid=guid, guid=guid, state=ObjectState.LOADED, done_at=at,
                result=LoadResult.INVALID if place < invalid else LoadResult.INSERTED,
            )  # fmt: skip
            LoadAttempt.objects.create(
                feed=feed, bucket_object=file, seqid=guid, fn4id=guid, outcome=AttemptOutcome.INSERTED,
                insert_status_code=200, bucket_read_start_time=at, insert_start_time=at, insert_end_time=at,
            )  # fmt: skip


def test_from_the_warning_about_useless_samples_to_their_run(visit: Visit, feeds: list[Feed]) -> None:
    page = visit.page
    visit.go("/")
    visit.log_in("operator")
    assert "53 % of the samples of feed tb-old have too many N" in visit.words()
    page.click("text=Open feed tb-old")
    assert "42 of the newest 180 loaded samples (23.3 %)" in visit.words()
    assert "MVE-R1208-… 62.0 % 31 50" in visit.words()
    page.click("text=MVE-R1208-…")
    assert "MVE-R1208-030.fasta" in visit.words()
    assert "MVE-R1207" not in visit.words()
    with page.expect_download() as download:
        page.click("text=CSV")
    assert download.value.path().read_text().count("\n") == 32
    visit.go("/sample/?id=MVE-R1208-000")
    assert "but has too many N to be compared" in visit.words()
    assert visit.console_errors == []


def test_from_the_warning_about_twins_to_a_new_comparison(visit: Visit, feeds: list[Feed]) -> None:
    page = visit.page
    visit.go("/feeds/")
    visit.log_in("operator")
    page.click("text=Twins")
    assert "5 differ" in visit.words()
    assert "rejected by feed tb-new: the file is empty" in visit.words()
    page.select_option("[name=kind]", "queued")
    page.click("button:has-text('Filter')")
    page.wait_for_selector("text=1 to 2 of 2")
    assert "HTTP 502" in visit.words()
    assert "stray-1" not in visit.words()
    visit.go("/twins/")
    page.click("text=Compare again")
    assert page.eval_on_selector("[name=second]", "list => list.selectedOptions[0].text").startswith("https://fn4-new")
    page.select_option("[name=second]", str(feeds[0].server_id))
    page.click("main button[type=submit]")
    assert "Choose two different servers." in visit.words()
    page.select_option("[name=second]", str(feeds[1].server_id))
    page.click("main button[type=submit]")
    assert "queued." in visit.words()
    assert OrmQ.objects.count() == 1
    assert visit.console_errors == []


def test_a_viewer_sees_twins_and_starts_nothing(visit: Visit, feeds: list[Feed]) -> None:
    visit.go("/twins/")
    visit.log_in("viewer")
    assert "5 differ" in visit.words()
    assert "Compare" not in visit.words().replace("Compared", "")


@pytest.mark.parametrize(("scheme", "width"), SHAPES)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    visit: Visit, feeds: list[Feed], width: int, scheme: str
) -> None:
    visit.show_as(scheme, width)
    visit.go("/login/")
    visit.log_in("operator")
    pages = {
        "overview": "/",
        "feeds": "/feeds/",
        "feed": "/feeds/tb-old/",
        "files": "/files/?result=invalid",
        "sample": "/sample/?id=MVE-R1208-000",
        "twins": "/twins/",
        "twins-filtered": "/twins/?kind=only_first&q=MVE",
        "compare": "/twins/compare/",
    }
    for name, path in pages.items():
        visit.go(path)
        assert visit.serious_violations() == [], path
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
        visit.take_picture(f"{name}-{scheme}-{width}")
    assert visit.external_requests == []
