"""`batch import` of a file, into a database: each row has its outcome, and a second import finds nothing to do."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command
from django.db import connection, transaction

from batches.tracking_csv.importer import RowOutcome, ignored_parts, import_batches
from core.exceptions import OperationRefused
from tests.fuzz.rules import ensure_line, ensure_sentence
from tests.fuzz.targets.csv_table import FILE

MAPPER_REPORT = "identifier,cmt_outcome,cmt_output_file,cmt_s3_key\n1,success,1.xml,cGxjfC9wbGFjZXN8MXxDUkVBVEU=\n"


def prepare() -> None:
    if "batches_batch" not in connection.introspection.table_names():
        call_command("migrate", verbosity=0)
    folder = FILE.parent / "plc"
    folder.mkdir(exist_ok=True)
    (folder / "1.xml").write_text("<document/>")


def check(data: bytes) -> None:
    # A file of two parts: the tracking CSV, and the mapper report of the batch in the folder `plc`.
    tracking, _, report = data.partition(b"\n---\n")
    FILE.write_bytes(tracking)
    Path(FILE.parent, "plc", "mapper_report.csv").write_bytes(report or MAPPER_REPORT.encode())
    try:
        with transaction.atomic():
            for line in ignored_parts(FILE):
                ensure_line(line)
            first, second = (list(import_batches(FILE, who="fuzz", folders=FILE.parent)) for _ in range(2))
            outcomes = [(summary.line, summary.outcome) for summary in second]
            again = {RowOutcome.CREATED: RowOutcome.UNCHANGED, RowOutcome.UPDATED: RowOutcome.UNCHANGED}
            assert outcomes == [(summary.line, again.get(summary.outcome, summary.outcome)) for summary in first]
            for note in (note for summary in (*first, *second) for note in summary.notes):
                ensure_sentence(note)
            transaction.set_rollback(True)
    except OperationRefused as error:
        ensure_sentence(str(error))
