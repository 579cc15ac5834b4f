"""Identifiers of records without a key: a mapper writes no key for a row whose mapping failed (domain.md 1)."""

from __future__ import annotations

import json

from batches.keys import comparable, comparison_form
from batches.models import Batch, BatchRecord
from batches.models.record import MAX_IDENTIFIER_LENGTH
from batches.report_columns import source_indexes

SAMPLE_SIZE = 1000
"""Records with a key that are compared to find the column of identifiers."""
PAGE_SIZE = 1000


def identifier_column(batch: Batch) -> str | None:
    """The first column of the source that has the identifier of each record with a key; None: there is none, or no such record.

    Identifiers of authorities are made from their terms: they are in no column.
    """
    columns: list[str] = json.loads(batch.source_columns)
    indexes, compared = source_indexes(columns), False
    with_key = BatchRecord.objects.filter(batch=batch, key__isnull=False, identifier__isnull=False).order_by("row")
    for identifier, source in with_key.values_list("identifier", "source")[:SAMPLE_SIZE]:
        values: list[str] = json.loads(source)
        wanted, compared = comparable(identifier or ""), True
        indexes = [index for index in indexes if comparable(values[index]) == wanted]
        if not indexes:
            return None
    return columns[indexes[0]] if compared and indexes else None


def fill_identifiers(batch: Batch, column: str | None) -> None:
    """Gives records without an identifier the one in that column of the source; without such a column it does nothing."""
    columns: list[str] = json.loads(batch.source_columns)
    if column is None or column not in columns:
        return
    index, last_row = columns.index(column), 0
    unknown = BatchRecord.objects.filter(batch=batch, identifier=None).order_by("row")
    while page := list(unknown.filter(row__gt=last_row).only("row", "source")[:PAGE_SIZE]):
        last_row = page[-1].row
        for record in page:
            identifier = json.loads(record.source)[index].strip()
            if identifier and len(identifier.encode()) <= MAX_IDENTIFIER_LENGTH:
                record.identifier, record.identifier_norm = identifier, comparison_form(identifier)
        BatchRecord.objects.bulk_update(page, ["identifier", "identifier_norm"])
