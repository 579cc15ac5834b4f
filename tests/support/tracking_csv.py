"""A tracking CSV and the batch folders in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from batches.keys import encode
from batches.tracking_csv.columns import NAMES
from batches.tracking_csv.importer import ImportSummary, import_batches

CMT = ("cmt_rec_status", "cmt_outcome", "cmt_output_file", "cmt_s3_key", "cmt_warnings", "cmt_errors")
MAPPER = ["title", "mediafileuri", *CMT]
WILD = {
    "id": "plc",
    "source_csv": "/data/places, 2024.csv",
    "mappable_rectype": "place-local",
    "action": "create",
    "batch_status": "ingested",
    "rec_ct": "4",
    "batch_mode": "full record",
    "mapped?": "2024-09-11_18_25",
    "dir": "plc_1",
    "map_errs": "1",
    "map_oks": "3",
    "map_warns": "0",
    "missing_terms": "7",
    "uploaded?": "2024-09-11 17_35",
    "upload_errs": "1",
    "upload_oks": "2",
    "batch_prefix": "cGxjf",
    "ingest_start_time": "2024-09-11 17:26:17.612",
    "ingest_done?": "2024-09-12_09_00",
    "ingest_complete_time": "2024-09-12 21:26:18.113",
    "ingest_duration": "28:00:01",
    "ingest_errs": "1",
    "ingest_oks": "1",
    "duplicates_checked?": "",
    "duplicates": "",
}
NOT_UPLOADED = dict.fromkeys(NAMES[NAMES.index("uploaded?") :], "")
"""The cells of a batch that was never uploaded."""


def tracking(
    path: Path,
    *rows: dict[str, str],
    names: Sequence[str] = NAMES,
    delimiter: str = ",",
    head: str = "",
    end: str = "\n",
) -> Path:
    """A batches CSV; `names` in their order, `head` before all."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(head)
        lines = io.StringIO()
        writer = csv.writer(lines, delimiter=delimiter)
        for row in [names, *([row.get(name, "") for name in names] for row in rows)]:
            writer.writerow(row)
            file.write(lines.getvalue()[:-2] + end)
            lines.seek(0)
            lines.truncate()
    return path


def key(identifier: str, bid: str = "plc") -> str:
    """The key of a record of the batch."""
    return encode(bid, "/places", identifier, "CREATE")


def folder(base: Path, name: str = "plc_1", bid: str = "plc") -> Path:
    """A batch folder with all three reports: one ingested, one failed in the ingest, one in the upload, one in the mapping."""
    made = base / name
    made.mkdir()
    rows = [
        ["in", "", "new", "success", "in.xml", key("in", bid), "", ""],
        ["left", "", "new", "success", "left.xml", key("left", bid), "", ""],
        ["none", "", "new", "success", "none.xml", key("none", bid), "", ""],
        ["bad", "", "new", "failure", "", "", "", "no term"],
    ]
    uploads = [["success", ""], ["success", ""], ["failure", "403"], ["skip", "not mapped"]]
    ingests = [["success", ""], ["failure", "409 Client Error"], ["failure", "not uploaded"], ["skip", ""]]
    reports = {
        "mapper": (MAPPER, rows),
        "upload": ([*MAPPER, "cmt_upload_status", "cmt_upload_message"], list(map(list.__add__, rows, uploads))),
    }
    columns = [*reports["upload"][0], "CMT_ingest_status", "CMT_ingest_message"]
    reports["ingest"] = (columns, list(map(list.__add__, reports["upload"][1], ingests)))
    for report, (header, lines) in reports.items():
        with (made / f"{report}_report.csv").open("w", newline="") as file:
            # The reports of later steps are in the order in which the records were done with.
            csv.writer(file).writerows([header, *(lines if report == "mapper" else [*lines[2::-1], lines[3]])])
    return made


def take(path: Path, **options: str) -> list[ImportSummary]:
    """Imports the file."""
    folders = {name: Path(value) for name, value in options.items() if name == "folders"}
    others = {name: value for name, value in options.items() if name != "folders"}
    return list(import_batches(path, who="me", **folders, **others))  # type: ignore[arg-type]
