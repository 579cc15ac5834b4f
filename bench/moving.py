"""What it costs to move in and out: 500 batches with 100,000 records (`make bench`).

Each batch has its folder with mapper_report.csv and upload_report.csv, every fifth an ingest_report.csv; the files that were
sent are not there, as after years. Wanted: within a minute, in flat memory.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from batches.keys import encode

ROOT = Path(__file__).parent.parent
MAPPER = [
    "title",
    "notes",
    "cmt_rec_status",
    "cmt_outcome",
    "cmt_output_file",
    "cmt_s3_key",
    "cmt_warnings",
    "cmt_errors",
]
UPLOAD = [*MAPPER, "cmt_upload_status", "cmt_upload_message"]
INGEST = [*UPLOAD, "CMT_ingest_status", "CMT_ingest_message"]
INGESTED = {
    "mapped?": "2024-09-11_18_25",
    "uploaded?": "2024-09-11 19_35",
    "upload_errs": 0,
    "ingest_start_time": "2024-09-11 19:26:17.612",
    "ingest_done?": "2024-09-12_09_00",
    "ingest_complete_time": "2024-09-11 21:26:18.113",
    "ingest_duration": "02:00:01",
}
COUNTS = ("rec_ct", "upload_oks", "ingest_errs", "ingest_oks")
TRACKING = ["id", "mappable_rectype", "action", "batch_status", "dir", *INGESTED, *COUNTS]


class Measured(NamedTuple):
    """One command."""

    seconds: float
    cpu: float
    megabytes: float
    said: str


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", nargs="*", default=["500x200", "500x20", "1x100000"], help="batches x records of each"
    )
    for size in parser.parse_args().sizes:
        batches, records = map(int, size.split("x"))
        measure(batches, records)


def measure(batches: int, records: int) -> None:
    """Import, import again, export, import of the export."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracking = make(folder, batches, records)
        database = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{folder}/db.sqlite3")
        environment = os.environ | {"FNLOADER_ENV_FILE": os.devnull, "SECRET_KEY": "bench", "DATABASE_URL": database}
        run(environment, "migrate", "-v0")
        exported = folder / "exported.csv"
        first = run(environment, "batch", "import", str(tracking))
        again = run(environment, "batch", "import", str(tracking))
        out = run(environment, "batch", "export", str(exported))
        back = run(environment, "batch", "import", str(exported))
        assert first.said.endswith(f"{batches} taken; {batches * records} records taken."), first.said[-200:]
        assert again.said == back.said
        assert back.said.endswith(f"{batches} unchanged; 0 records taken.")
    print(f"{batches} batches with {batches * records:,} records:")
    for what, one in (("import", first), ("again", again), ("export", out), ("import of the export", back)):
        print(f"  {what}: {one.seconds:.1f} s ({one.cpu:.1f} CPU s), {one.megabytes:.0f} MB", flush=True)


def run(environment: dict[str, str], *words: str) -> Measured:
    """Runs manage.py; seconds and peak memory of the whole process."""
    command = [sys.executable, "manage.py", *words]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        said = out.read().strip()
    assert process.returncode == 0, said[-2000:]
    return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)


def make(folder: Path, batches: int, records: int) -> Path:
    """A tracking CSV with its batch folders."""
    tracking = folder / "batches.csv"
    with tracking.open("w", newline="") as file:
        writer = csv.DictWriter(file, TRACKING, lineterminator="\n")
        writer.writeheader()
        for number in range(batches):
            writer.writerow(_batch(folder, f"b{number:04}", records, failed=number % 5 == 0))
    return tracking


def _batch(folder: Path, bid: str, records: int, *, failed: bool) -> dict[str, object]:
    made = folder / bid
    made.mkdir()
    left = max(1, records // 100) if failed else 0
    for name, columns in (("mapper", MAPPER), ("upload", UPLOAD), ("ingest", INGEST))[: 3 if failed else 2]:
        with (made / f"{name}_report.csv").open("w", newline="") as file:
            # A row at a time: a child's peak memory is at least what its parent had when it was forked.
            rows = (_row(bid, number, left=number < left)[: len(columns)] for number in range(records))
            csv.writer(file).writerow(columns)
            csv.writer(file).writerows(rows)
    counts = dict(zip(COUNTS, (records, records, left, records - left), strict=True))
    named = {
        "id": bid,
        "mappable_rectype": "collectionobject",
        "action": "create",
        "batch_status": "ingested",
        "dir": bid,
    }
    return named | INGESTED | counts


def _row(bid: str, number: int, *, left: bool) -> list[str]:
    identifier = f"2024.{number:06}"
    key = encode(bid, "/collectionobjects", identifier, "CREATE")
    mapped = [f"Object {number}", "a note of some length " * 5, "new", "success", f"{identifier}.xml", key, "", ""]
    return [*mapped, "success", "", *(["failure", f"409 Client Error {number % 7}"] if left else ["success", ""])]


if __name__ == "__main__":
    main()
