"""How far an imported batch is: what its cells, its step reports and its records say together.

A cell that can't be read is not empty: its step has happened, at an unknown time. Where they contradict each other, the later
step counts, because then nothing is sent that may have been sent before (design.md, promise 9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from batches.choices import BatchStatus
from batches.tracking_csv.cell_formats import InvalidCell, parse_number

_MAPPED_CELLS = ("mapped?",)
_UPLOAD_CELLS = ("uploaded?", "upload_errs", "upload_oks", "ingest_start_time", "done?")
_INGEST_CELLS = ("ingest_done?", "ingest_complete_time", "ingest_duration", "ingest_errs", "ingest_oks")
_COUNTS = {"upload_errs", "upload_oks", "ingest_errs", "ingest_oks"}


class Progress(NamedTuple):
    """The last step that is done, and how that is known."""

    status: BatchStatus
    stated: BatchStatus
    """What the cells say, without the reports."""
    note: str = ""
    """If that is not what `batch_status` says."""


def progress(row: Mapping[str, str], upload_reports: Iterable[str]) -> Progress:
    """The progress of the batch of a row. `upload_reports`: what else knows of an upload, by name."""
    word = row.get("batch_status", "").strip()
    status = BatchStatus(word.lower()) if word.lower() in BatchStatus.values else None
    if status in (BatchStatus.UPLOADED, BatchStatus.INGESTED):
        return Progress(status, status)
    evidence = [*_filled(row, _UPLOAD_CELLS), *_filled(row, _INGEST_CELLS)]
    stated: BatchStatus = status or (BatchStatus.MAPPED if _filled(row, _MAPPED_CELLS) else BatchStatus.ADDED)
    if _filled(row, _INGEST_CELLS):
        stated = BatchStatus.INGESTED
    elif evidence or (word and not status):
        # A word that nobody knows may say anything.
        stated = BatchStatus.UPLOADED
    reports = [] if stated == BatchStatus.INGESTED else list(upload_reports)
    found = BatchStatus.UPLOADED if reports else stated
    if not word or status == found:
        return Progress(found, stated)
    reasons = ", ".join([*evidence, *reports])
    because = f" because of {reasons}" if reasons else ", so that nothing is sent twice"
    return Progress(found, stated, f"batch_status is {word[:100]!r}, imported as {found}{because}")


def _filled(row: Mapping[str, str], names: Iterable[str]) -> list[str]:
    filled = []
    for name in names:
        text = row.get(name, "").strip()
        try:
            is_zero = name in _COUNTS and bool(text) and parse_number(text) <= 0
        except InvalidCell:
            is_zero = False
        if text and not is_zero:
            filled.append(name)
    return filled
