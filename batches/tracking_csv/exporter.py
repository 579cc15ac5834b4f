"""`batch export`: the batches CSV as its users know it."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from batches.models import Batch
from batches.tracking_csv.columns import NAMES, cells
from core.files import Writable


def export(file: Writable, batches: Iterable[Batch], delimiter: str = ",") -> int:
    """Writes header and a row for each batch; returns how many. Cells are not made safe for spreadsheets: they come back
    as they were found."""
    writer, number = csv.writer(file, delimiter=delimiter, lineterminator="\n"), 0
    writer.writerow(NAMES)
    for batch in batches:
        found = cells(batch)
        writer.writerow([found[name] for name in NAMES])
        number += 1
    return number


def export_to_file(path: Path, batches: Iterable[Batch], delimiter: str = ",") -> int:
    """The same into a file: a reader sees the old one or the whole new one. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            number = export(file, batches, delimiter)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return number
