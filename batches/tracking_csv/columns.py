"""The batches CSV: its columns in their order, and what each cell means for a Batch (domain.md 1).

A cell that is spelled otherwise than we would, or that its column can't hold, is kept in `Batch.cells` beside our spelling
of that moment. As long as ours has not changed, an export gives it back as it was found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.db.models import CharField, Field

from batches.choices import Action, BatchStatus
from batches.models import Batch
from batches.tracking_csv.cell_formats import (
    InvalidCell,
    format_number,
    format_time,
    parse_duration,
    parse_number,
    parse_time,
)
from core.formatting import format_duration


class Column(NamedTuple):
    """One column of the file."""

    name: str
    field: str
    """Of the Batch; empty: nothing is stored, the cell follows from the id."""
    read: Callable[[str], Any]
    """From a text that is not empty; raises Unreadable."""
    spell: Callable[[Any], str]


def _text(field: str) -> Callable[[str], str]:
    known: Field[Any, Any] = Batch._meta.get_field(field)  # type: ignore[assignment]  # noqa: SLF001 - Django's public name
    longest = known.max_length if isinstance(known, CharField) else None

    def read(text: str) -> str:
        if longest and len(text) > longest:
            raise InvalidCell(f"longer than {longest} characters")
        return text

    return read


def _one_of(values: list[str], change: Callable[[str], str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if change(text) not in values:
            raise InvalidCell(f"none of {', '.join(values)}")
        return change(text)

    return read


def _unchanged(value: str | None) -> str:
    return value or ""


def _texts(name: str, field: str) -> Column:
    return Column(name, field, _text(field), _unchanged)


def _number(name: str, field: str) -> Column:
    return Column(name, field, parse_number, format_number)


def _time(name: str, field: str) -> Column:
    return Column(name, field, parse_time, format_time)


COLUMNS = (
    _texts("id", "bid"),
    _texts("source_csv", "source_csv"),
    _texts("mappable_rectype", "rectype"),
    Column("action", "action", _one_of(Action.values, str.upper), _unchanged),
    Column("batch_status", "status", _one_of(BatchStatus.values, str.lower), _unchanged),
    _number("rec_ct", "record_count"),
    _texts("batch_mode", "mode"),
    _time("mapped?", "mapped_at"),
    _texts("dir", "folder"),
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
    """Each cell as we spell it."""
    return {
        column.name: column.spell(getattr(batch, column.field)) if column.field else batch.key_prefix
        for column in COLUMNS
    }


def cells(batch: Batch) -> dict[str, str]:
    """Each cell as an export writes it: as it was found where its value is still the same, else as we spell it."""
    found: dict[str, list[str]] = json.loads(batch.cells or "{}")
    spelled = formatted_cells(batch)
    return spelled | {name: text for name, (text, then) in found.items() if spelled.get(name) == then}


def apply_row(batch: Batch, row: Mapping[str, str]) -> list[str]:
    """Puts the cells of a row on the batch, each that it has but `id`; returns what its columns can't hold, and why.

    A status that is empty follows from the times. `keep_cells` has to be called once the batch is complete.
    """
    notes = []
    for column in COLUMNS[1:]:
        if column.name not in row or not column.field:
            continue
        text, empty = row[column.name].strip(), "" if column.field == "rectype" else None
        try:
            value = column.read(text) if text else empty
        except InvalidCell as error:
            notes.append(f"{column.name}: {text[:100]!r} is {error}; it is kept as text")
            value = empty
        setattr(batch, column.field, value)
    if not batch.status or not row.get("batch_status", "").strip():
        batch.status = _status(batch)
    prefix = row.get("batch_prefix", "").strip()
    if prefix not in ("", batch.key_prefix):
        notes.append(f"batch_prefix: {prefix!r} is not the one of {batch}, {batch.key_prefix!r}; it is kept as text")
    _exact_duration(batch)
    return notes


def keep_cells(batch: Batch, row: Mapping[str, str]) -> None:
    """Notes on the batch which cells of the row are spelled otherwise than ours."""
    spelled = formatted_cells(batch)
    other = {name: [row[name], ours] for name, ours in spelled.items() if name in row and row[name] != ours}
    batch.cells = json.dumps(other, ensure_ascii=False) if other else None


def _status(batch: Batch) -> BatchStatus:
    if batch.ingest_done_at:
        return BatchStatus.INGESTED
    if batch.uploaded_at:
        return BatchStatus.UPLOADED
    return BatchStatus.MAPPED if batch.mapped_at else BatchStatus.ADDED


def _exact_duration(batch: Batch) -> None:
    """The file's durations are whole seconds: where the times say the same, they say it better."""
    start, end = batch.ingest_start_time, batch.ingest_complete_time
    if start and end and format_duration(end - start) == format_duration(batch.ingest_duration):
        batch.ingest_duration = end - start
