"""Columns that are added to those of a source: by the step reports (domain.md 1, "A batch folder"), and by a corrections CSV."""

from __future__ import annotations

from collections.abc import Sequence

MAP_COLUMNS = ("cmt_rec_status", "cmt_outcome", "cmt_output_file", "cmt_s3_key", "cmt_warnings", "cmt_errors")
"""Of `mapper_report.csv`. A row whose mapping failed has its errors, but neither a file nor a key."""
OUTCOME_COLUMNS = ("cmt_upload_status", "cmt_upload_message", "CMT_ingest_status", "CMT_ingest_message")
"""Of `upload_report.csv` and `ingest_report.csv`."""
ERROR_COLUMNS = ("error_step", "error_message", "error_cause", "tries")
"""Behind the source's columns in a corrections CSV; a mapper hands them on."""


def source_indexes(columns: Sequence[str]) -> list[int]:
    """Where the source's own columns are among those of a mapper report."""
    own = [index for index, column in enumerate(columns) if column not in (*MAP_COLUMNS, *OUTCOME_COLUMNS)]
    # A source may have one of these names; all of them in their order, at its end, are ours.
    if tuple(columns[index] for index in own[-len(ERROR_COLUMNS) :]) == ERROR_COLUMNS:
        return own[: -len(ERROR_COLUMNS)]
    return own
