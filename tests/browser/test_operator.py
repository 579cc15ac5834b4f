"""The operator's way through the pages in a real browser, and the visitor's, who is turned away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server
from tests.support.browser import SHAPES, Visit

pytestmark = pytest.mark.django_db(transaction=True)
WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)


@pytest.fixture
def feed() -> Feed:
    server = Server.objects.create(identity="http://127.0.0.1:1", url="http://127.0.0.1:1", number_in_server=1234)
    feed = Feed.objects.create(name="tb", server=server, store_url="file:///nowhere", store_digest="d", checked_at=WHEN)
    for number in range(3):
        when = timezone.now() - timedelta(hours=number)
        file = BucketObject.objects.create(
            feed=feed,
            name=f"s{number}.fasta",
            version=str(number),
            etag="e",
            size=1,
            created=when,
            first_seen=when,
            seqid=f"s{number}",
            state=ObjectState.REJECTED,
            reason="the file is empty",
        )
        LoadAttempt.objects.create(
            feed=feed,
            bucket_object=file,
            seqid=file.seqid,
            outcome=AttemptOutcome.REJECTED,
            bucket_read_start_time=WHEN,
            message="the file is empty",
            first_128_chars=">nothing",
        )
    return feed


def test_an_operator_finds_the_reason_tries_again_and_exports(visit: Visit, feed: Feed) -> None:
    page = visit.page
    visit.go("/feeds/")
    visit.log_in("operator")
    page.click("text=tb")
    assert "Rejected 3 not acknowledged" in visit.words()
    page.click(".figures a")
    assert "s2.fasta" in visit.words()
    page.click("text=s1.fasta")
    assert "the file is empty" in visit.words()
    assert ">nothing" in visit.words()
    page.click("text=Retry")
    page.click("main button[type=submit]")
    assert "s1.fasta queued." in visit.words()
    assert BucketObject.objects.get(seqid="s1").state == ObjectState.WAITING
    page.click("nav.sidebar >> text=Load attempts")
    with page.expect_download() as download:
        page.click("text=CSV")
    assert download.value.path().read_text().count("\n") == 4
    assert visit.console_errors == []


def test_an_operator_searches_a_sample_and_its_server_is_asked_without_holding_up_the_page(
    visit: Visit, feed: Feed
) -> None:
    visit.go("/")
    visit.log_in("operator")
    visit.page.fill(".search input", "s2")
    visit.page.press(".search input", "Enter")
    visit.page.wait_for_selector("text=s2 is not loaded")
    visit.page.wait_for_selector("text=no answer")
    assert visit.console_errors == []


def test_times_are_the_viewers_from_the_first_page_on(visit: Visit, feed: Feed) -> None:
    visit.go("/feeds/")
    visit.log_in("viewer")
    visit.go("/attempts/")
    assert "2026-02-01 03:25:03" in visit.words()
    title = visit.page.get_attribute("tbody time", "title")
    assert title == "2026-01-31 18:25:03.000 UTC"


def test_the_keyboard_reaches_the_content_and_the_theme_is_chosen_without_script(visit: Visit, feed: Feed) -> None:
    visit.go("/feeds/")
    visit.log_in("viewer")
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.textContent") == "Skip to content"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "content"
    visit.page.click(".account summary")
    visit.page.click("text=Dark")
    assert visit.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


@pytest.mark.parametrize(("scheme", "width"), SHAPES)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    visit: Visit, feed: Feed, width: int, scheme: str
) -> None:
    file = BucketObject.objects.earliest("pk")
    attempt = LoadAttempt.objects.earliest("pk")
    visit.show_as(scheme, width)
    visit.go("/login/")
    assert visit.serious_violations() == []
    visit.log_in("operator")
    pages = (
        "/feeds/",
        "/feeds/tb/",
        f"/files/{file.pk}/",
        f"/attempts/{attempt.pk}/",
        "/sample/?id=s1",
        "/search/?q=s",
    )
    for path in (*pages, "/attempts/?outcome=rejected", "/feeds/tb/pause/", "/loads/"):
        visit.go(path)
        assert visit.serious_violations() == [], path
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_visitor_is_turned_away_everywhere(visit: Visit, feed: Feed) -> None:
    for path in ("/", "/feeds/", "/feeds/tb/", "/attempts/?export=csv", "/search/?q=s1", "/sample/?id=s1", "/admin/"):
        visit.go(path)
        assert "/login/" in visit.page.url
        assert "tb" not in visit.words().split()
