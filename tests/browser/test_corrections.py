"""From a batch with failures to a closed one, and its sheet on paper: all in a real Chromium, on the site as `serve` runs it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.support.browser import SHAPES, Visit
from tests.support.house import House
from tests.support.mapper import map_csv, write_csv

pytestmark = pytest.mark.timeout(300)


def on_paper(guest: Visit, path: Path) -> str:
    """The text of the page as it is printed on A4, without line ends."""
    guest.page.pdf(path=path, prefer_css_page_size=True)
    guest.take_picture(f"print-{path.stem}", media="print")
    reader = PdfReader(path)
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842], "A4 in points"
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_failed_records_are_downloaded_corrected_sent_again_and_summed_up(
    guest: Visit, house: House, tmp_path: Path
) -> None:
    page = guest.page
    guest.go("/login/")
    guest.log_in("morgan")
    guest.go("/batches/?errors=open")
    page.get_by_role("link", name="plc").click()
    assert "2 failed, 2 open" in guest.words()
    with page.expect_download() as started:
        page.get_by_role("link", name="Corrections").first.click()
    assert started.value.suggested_filename == "plc-corrections.csv"
    with Path(started.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["identifier", "error_step", "error_message", "error_cause", "tries"]
    assert [row[:2] for row in rows[1:]] == [["2026.2", "ingest"], ["2026.3", "ingest"]]
    # One is corrected at first, the other fails again, and is corrected in a correction of the correction.
    folder = map_csv(write_csv(tmp_path / "plc2.csv", *rows), tmp_path / "plc2", "plc2", identifier="identifier")
    house.run("batch", "add", "plc2", str(folder), "--corrects", "plc", "--tag", "Museum X")
    house.run("batch", "upload", "plc2")
    house.ingest("2026.2", bid="plc2")
    house.run("ingstat", "plc2", "--sleep", "0.01", status=10)
    page.reload()
    assert "2 failed, 1 since corrected in plc2, 1 open" in guest.words()
    page.get_by_role("link", name="1 open").click()
    page.get_by_role("link", name="2026.3").last.click()
    assert "Batch plc2, row 2" in guest.words()
    assert "Ingest failed corrects it" in guest.words()
    guest.take_picture("record")
    folder = map_csv(
        write_csv(tmp_path / "plc3.csv", rows[0], rows[2]), tmp_path / "plc3", "plc3", identifier="identifier"
    )
    house.run("batch", "add", "plc3", str(folder), "--corrects", "plc2", "--tag", "Museum X")
    house.run("batch", "upload", "plc3")
    house.ingest("2026.3", bid="plc3")
    house.run("ingstat", "plc3", "--sleep", "0.01")
    guest.go("/batches/plc/")
    assert "2 failed, 1 since corrected in plc2, 1 since corrected in plc3, none open." in guest.words()
    assert "Done. You can archive it." in guest.words()
    page.get_by_role("link", name="Edit tags").click()
    page.get_by_label("Tags").fill("Museum X")
    page.get_by_role("button", name="Edit tags").click()
    page.get_by_role("link", name="Summary").click()
    page.wait_for_url("**/summary/**")
    text = on_paper(guest, tmp_path / "plc.pdf")
    for line in ("Records 3", "uploaded 3", "ingested 1", "failed 2", "corrected in a later batch 2", "Museum X"):
        assert line in text, (line, text)
    assert "Log out" not in text
    guest.go("/batches/?tag=Museum+X")
    page.get_by_role("link", name="Summary").click()
    page.wait_for_url("**/summary/**")
    text = on_paper(guest, tmp_path / "all.pdf")
    for line in ("3 batches, tag: Museum X", "Records 6", "ingested 3", "failed 3", "corrected in a later batch 3"):
        assert line in text, (line, text)
    # Records, not mapped, not uploaded, uploaded, ingested, failed, cleared, uncertain, open.
    for line in (
        "plc collectionobject 3 0 0 3 1 2 0 0 0",
        "plc2 collectionobject 2 0 0 2 1 1 0 0 0",
        "plc3 collectionobject 1 0 0 1 1 0 0 0 0",
    ):
        assert line in text, (line, text)
    for path in (
        "/batches/plc/summary/",
        "/batches/summary/?tag=Museum+X",
        "/batches/plc/records/3/",
        "/batches/plc/tags/",
        "/batches/plc/replay/",
        "/batches/plc/",
        "/ingest/rates/",
        "/ingest/advice/",
    ):
        for scheme, width in SHAPES:
            guest.show_as(scheme, width)
            guest.go(path)
            assert guest.serious_violations() == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            guest.take_picture(f"{path.strip('/').replace('/', '-').partition('?')[0]}-{scheme}-{width}")
    assert guest.console_errors == []
    assert guest.external_requests == []
