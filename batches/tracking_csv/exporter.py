"""`batch export`: writes the batches CSV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batches.models import Batch
from batches.tracking_csv.columns import NAMES, cells
from core.files import CsvWriter, Writable, write_atomically


def export(file: Writable, batches: Iterable[Batch], delimiter: str = ",") -> int:
    """Writes a header and a row for each batch; returns how many. Cells are not made safe for spreadsheets, so that an import
    gets them unchanged."""
    writer, number = CsvWriter(file, delimiter), 0
    writer.writerow(NAMES)
    for batch in batches:
        row = cells(batch)
        writer.writerow([row[name] for name in NAMES])
        number += 1
    return number


def export_to_file(path: Path, batches: Iterable[Batch], delimiter: str = ",") -> int:
    """The same into a file, which is replaced whole. Raises OSError."""
    with write_atomically(path) as file:
        return export(file, batches, delimiter)
