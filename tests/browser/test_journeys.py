"""The ways of the people whom the site is for, in a real Chromium, on the site as `serve` runs it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from batches.reports.failure_causes import message_pattern
from tests.support.browser import SHAPES, Visit
from tests.support.house import REASON, House

pytestmark = pytest.mark.timeout(300)
PAGES = (
    "/",
    "/batches/",
    "/batches/plc/",
    "/batches/plc/report/",
    "/batches/plc/clear/",
    "/feeds/",
    "/feeds/tb/",
    "/feeds/tb/pause/",
    "/files/",
    "/files/1/",
    "/attempts/",
    "/attempts/1/",
    "/loads/",
)


def log_in(guest: Visit, name: str) -> None:
    guest.go("/login/")
    guest.log_in(name)


def until(guest: Visit, words: str) -> None:
    """Loads the page again and again until it says so, as somebody does who waits for a job."""
    end = time.monotonic() + 90
    while words not in guest.words():
        assert time.monotonic() < end, guest.words()
        time.sleep(0.3)
        guest.page.reload()


def agree(guest: Visit, words: str) -> None:
    """Follows a button that asks, and says yes."""
    guest.page.get_by_role("link", name=words).click()
    guest.page.get_by_role("button", name=words).click()


def test_a_specialist_finds_out_why_a_batch_failed_and_checks_it_again(guest: Visit, house: House) -> None:
    page = guest.page
    log_in(guest, "morgan")
    assert "2 records of batch plc did not ingest" in guest.words()
    page.get_by_role("link", name="Open batch plc").click()
    assert f"Why records failed 2 {message_pattern(REASON)}" in guest.words()
    with page.expect_download() as started:
        page.get_by_role("link", name="Report").click()
    lines = Path(started.value.path()).read_text().splitlines()
    assert [line.split(",")[-2] for line in lines] == ["CMT_ingest_status", "success", "failure", "failure"]
    house.ingest("2026.2", "2026.3")
    page.get_by_role("link", name="Undo ingest result").click()
    assert "The ingest outcome of 3 records" in guest.words()
    page.get_by_role("button", name="Undo ingest result").click()
    assert "in ingest" in guest.words()
    agree(guest, "Check now")
    until(guest, "Done. You can archive it.")
    assert "Ingest result undone" in guest.words()
    guest.go("/")
    assert "did not ingest" not in guest.words()
    assert guest.console_errors == []


def test_an_operator_sees_an_alarm_and_makes_it_heal(guest: Visit, house: House) -> None:
    page = guest.page
    log_in(guest, "morgan")
    assert "1 file of feed tb rejected" in guest.words()
    page.get_by_role("link", name="Open feed tb").click()
    page.locator(".figures a.red").click()
    page.get_by_role("link", name="odd.fasta").click()
    assert "does not begin with 'GPAS_SP3|'" in guest.words()
    house.manage.rows("UPDATE loader_feed SET header_prefix = %s", "OTHER|")
    agree(guest, "Retry")
    file = page.url
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Feeds").click()
    page.get_by_role("link", name="tb", exact=True).click()
    agree(guest, "Load now")
    page.goto(file)
    until(guest, "Loaded")
    guest.go("/")
    assert "of feed tb rejected" not in page.locator("[data-part=concerns]").inner_text()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Load attempts").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    lines = Path(started.value.path()).read_text().splitlines()
    tried = [line.split(",")[:2] for line in lines[1:]]
    assert tried[0] == ["odd", "inserted"]
    assert ["odd", "rejected"] in tried
    assert guest.console_errors == []


def test_who_may_see_nothing_is_turned_away_everywhere(guest: Visit, house: House) -> None:
    for path in (*PAGES, "/admin/"):
        guest.go(path)
        assert "/login/?next=" in guest.page.url, path
    log_in(guest, "nobody")
    for path in PAGES:
        guest.go(path)
        assert "Permission denied" in guest.words(), path
        assert "odd.fasta" not in guest.words()
        assert "2026.2" not in guest.words()


@pytest.mark.parametrize(("scheme", "width"), SHAPES)
def test_overview_and_batches_are_usable_by_everybody_and_ask_nobody_else(
    guest: Visit, house: House, scheme: str, width: int
) -> None:
    """The pages of the loader: tests/browser/test_operator.py."""
    log_in(guest, "morgan")
    guest.show_as(scheme, width)
    for path in ("/", "/batches/", "/batches/plc/", "/batches/plc/archive/", "/files/", "/password/", "/nowhere/"):
        guest.go(path)
        assert guest.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert guest.serious_violations() == [], path
    assert guest.external_requests == []
    assert [text for text in guest.console_errors if "404" not in text] == []


def test_the_overview_refreshes_itself_and_keeps_the_readers_place(guest: Visit, house: House) -> None:
    page = guest.page
    log_in(guest, "morgan")
    page.set_viewport_size({"width": 1000, "height": 400})
    heading = page.get_by_role("heading", name="Last load attempts")
    heading.scroll_into_view_if_needed()
    page.locator("[data-part=day] summary").first.dispatch_event("click")
    before = heading.bounding_box()
    house.run("feed", "pause", "tb", "--reason", "a test")
    try:
        _refresh_now(guest)
        page.get_by_text("Feed tb is paused").wait_for()
        assert page.locator("[data-part=day] details").first.get_attribute("open") is not None
        after = heading.bounding_box()
    finally:
        house.run("feed", "resume", "tb")
    assert before
    assert after
    assert abs(before["y"] - after["y"]) < 3, "the alarm that came above it moved what is read"


def test_the_overview_says_when_the_server_can_not_be_reached_and_goes_on(guest: Visit, house: House) -> None:
    page = guest.page
    log_in(guest, "morgan")
    page.get_by_text("Refreshes every 15 s").wait_for()
    guest.page.context.set_offline(True)
    _refresh_now(guest)
    page.get_by_text("Server unavailable, as of").wait_for()
    guest.page.context.set_offline(False)
    _refresh_now(guest)
    page.get_by_text("Refreshes every 15 s, as of").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused, as of").wait_for()


def _refresh_now(guest: Visit) -> None:
    """By pausing and going on, without scrolling to the button."""
    for _ in range(2):
        guest.page.get_by_role("button", name="Pause").dispatch_event("click")
