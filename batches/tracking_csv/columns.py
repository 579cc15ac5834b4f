"""The batches CSV: its columns in their order, and the field of Batch for each (domain.md 1).

A cell with another format than ours, or that its column can't hold, is kept in `Batch.cells` together with our text at that
moment. As long as our text has not changed, an export writes the original cell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import CharField, Field

from batches.choices import Action, BatchStatus
from batches.models import Batch
from batches.tracking_csv.cell_formats import (
    InvalidCell,
    format_number,
    format_time,
    is_same_time,
    parse_duration,
    parse_number,
    parse_time,
)
from core.formatting import format_duration


class Column(NamedTuple):
    """One column of the file."""

    name: str
    field: str
    """Field of Batch; empty: nothing is stored, the cell is derived from the id."""
    parse: Callable[[str], Any]
    """Parses a text that is not empty; raises InvalidCell."""
    format: Callable[[Any], str]


def _text(name: str, field: str) -> Column:
    known: Field[Any, Any] = Batch._meta.get_field(field)  # type: ignore[assignment]  # noqa: SLF001 - Django's public name
    max_length = known.max_length if isinstance(known, CharField) else None

    def parse(text: str) -> str:
        if max_length and len(text) > max_length:
            raise InvalidCell(f"longer than {max_length} characters")
        return text

    return Column(name, field, parse, _unchanged)


def _choice(name: str, field: str, values: list[str], convert: Callable[[str], str]) -> Column:
    def parse(text: str) -> str:
        if convert(text) not in values:
            raise InvalidCell(f"not one of {', '.join(values)}")
        return convert(text)

    return Column(name, field, parse, _unchanged)


def _unchanged(value: str | None) -> str:
    return value or ""


def _number(name: str, field: str) -> Column:
    return Column(name, field, parse_number, format_number)


def _time(name: str, field: str) -> Column:
    return Column(name, field, parse_time, format_time)


COLUMNS = (
    _text("id", "bid"),
    _text("source_csv", "source_csv"),
    _text("mappable_rectype", "rectype"),
    _choice("action", "action", Action.values, str.upper),
    _choice("batch_status", "status", BatchStatus.values, str.lower),
    _number("rec_ct", "record_count"),
    _text("batch_mode", "mode"),
    _time("mapped?", "mapped_at"),
    _text("dir", "folder"),
    _number("map_errs", "map_errs"),
    _number("map_oks", "map_oks"),
    _number("map_warns", "map_warns"),
    _number("missing_terms", "missing_terms"),
    _time("uploaded?", "uploaded_at"),
    _number("upload_errs", "upload_errs"),
    _number("upload_oks", "upload_oks"),
    Column("batch_prefix", "", str, _unchanged),
    _time("ingest_start_time", "ingest_start_time"),
    _time("ingest_done?", "ingest_done_at"),
    _time("ingest_complete_time", "ingest_complete_time"),
    Column("ingest_duration", "ingest_duration", parse_duration, format_duration),
    _number("ingest_errs", "ingest_errs"),
    _number("ingest_oks", "ingest_oks"),
    _time("duplicates_checked?", "duplicates_checked_at"),
    _number("duplicates", "duplicates"),
)
NAMES = tuple(column.name for column in COLUMNS)


def formatted_cells(batch: Batch) -> dict[str, str]:
    """Each cell in our format."""
    return {
        column.name: column.format(getattr(batch, column.field)) if column.field else batch.key_prefix
        for column in COLUMNS
    }


def cells(batch: Batch) -> dict[str, str]:
    """Each cell as an export writes it: the original cell if its value has not changed, otherwise in our format."""
    imported: dict[str, list[str]] = json.loads(batch.cells or "{}")
    formatted = formatted_cells(batch)
    return formatted | {name: text for name, (text, ours) in imported.items() if formatted.get(name) == ours}


def differences(batch: Batch, row: Mapping[str, str]) -> list[str]:
    """The names of the columns in which the row differs from an export of the batch, in their order."""
    exported = cells(batch)
    times = {column.name: getattr(batch, column.field) for column in COLUMNS if column.parse is parse_time}
    return [
        name
        for name in NAMES
        if name in row
        and row[name] != exported[name]
        # A spreadsheet cut the time down: no difference.
        and not ((known := times.get(name)) and is_same_time(row[name].strip(), known))
    ]


def apply_row(batch: Batch, row: Mapping[str, str]) -> list[str]:
    """Sets the fields of the batch from the cells of a row, except `id` and `batch_status` (see `progress`); returns notes on
    cells that its columns can't hold. Call `save_cells` once the batch is complete.
    """
    notes = []
    for column in COLUMNS[1:]:
        if column.name not in row or column.field in ("", "status"):
            continue
        text, empty = row[column.name].strip(), "" if column.field == "rectype" else None
        try:
            value = column.parse(text) if text else empty
        except InvalidCell as error:
            known = getattr(batch, column.field)
            if isinstance(known, datetime) and is_same_time(text, known):
                continue
            unknown = "; the step has happened, its time is unknown" if column.parse is parse_time else ""
            notes.append(f"{column.name}: {text[:100]!r} is {error}{unknown}; it is kept as text")
            value = empty
        setattr(batch, column.field, value)
    prefix = row.get("batch_prefix", "").strip()
    if prefix not in ("", batch.key_prefix):
        notes.append(f"batch_prefix: {prefix!r} is not the prefix of {batch}, {batch.key_prefix!r}; it is kept as text")
    start, end = batch.ingest_start_time, batch.ingest_complete_time
    if start and end and format_duration(end - start) == format_duration(batch.ingest_duration):
        # The file's durations are whole seconds; its times are more exact.
        batch.ingest_duration = end - start
    return notes


def save_cells(batch: Batch, row: Mapping[str, str]) -> None:
    """Stores on the batch the cells of the row that differ from our format."""
    formatted = formatted_cells(batch)
    different = {name: [row[name], ours] for name, ours in formatted.items() if name in row and row[name] != ours}
    batch.cells = json.dumps(different, ensure_ascii=False) if different else None
