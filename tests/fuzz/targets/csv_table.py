"""A CSV file of batches: its rows as the import and the export of a batch see them, without a database."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from batches.creation.csv_reader import CsvFormat, RowError, open_table, validate_row
from batches.models import Batch
from batches.tracking_csv import columns
from batches.tracking_csv.progress import progress
from core.exceptions import OperationRefused
from core.stored_text import storable
from tests.fuzz.rules import ensure_sentence

FILE = Path(tempfile.mkdtemp(prefix="fnloader-fuzz-")) / "batches.csv"
CHECKED_ROWS = 100
FORMS = (CsvFormat(), CsvFormat(encoding="cp1252"), CsvFormat(delimiter=";", encoding="utf-16-le"))


def check(data: bytes) -> None:
    FILE.write_bytes(data)
    form = FORMS[len(data) % len(FORMS)]
    try:
        table = open_table(FILE, ("id", "action"), "batches CSV", known=columns.NAMES, form=form)
        assert len(set(filter(None, table.columns))) == len(list(filter(None, table.columns)))
        for number, (_, values) in enumerate(table.rows()):
            with suppress(RowError):
                validate_row(values, table.columns)
                assert all(storable(value) == value for value in values)
                if number < CHECKED_ROWS:
                    _check_row(dict(zip(table.columns, values, strict=True)))
    except OperationRefused as error:
        ensure_sentence(str(error))


def _check_row(row: dict[str, str]) -> None:
    """What is imported is exported as it was, and differs in nothing."""
    batch = Batch(bid="plc")
    for note in columns.apply_row(batch, row):
        ensure_sentence(note)
    known = progress(row, [])
    batch.status = known.status
    columns.save_cells(batch, row)
    exported = columns.cells(batch)
    assert {name: exported[name] for name in columns.NAMES if name in row} == {
        name: row[name] for name in columns.NAMES if name in row
    }
    assert columns.differences(batch, row) == []
