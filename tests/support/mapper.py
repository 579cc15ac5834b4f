"""A stand-in for the mapper: a CSV becomes a batch folder, with its report as collectionspace_migration_tools writes it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

from batches.keys import encode

MAP_COLUMNS = ["CMT_rec_status", "CMT_outcome", "CMT_output_file", "CMT_S3_key", "CMT_warnings", "CMT_errors"]
"""In the spelling of the original (its `batch_reporter.rb`)."""


def map_csv(
    source: Path,
    folder: Path,
    bid: str,
    *,
    identifier: str = "objectNumber",
    wrong: Callable[[Mapping[str, str]], str] = lambda _row: "",
) -> Path:
    """Maps each row of `source` into `folder`, which it makes. `wrong` returns why a row can't be mapped; empty: it can.

    As in the original all columns of the source are handed on, and a row that fails gets neither a file nor a key.
    """
    folder.mkdir()
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), [*(reader.fieldnames or [])]
    with (folder / "mapper_report.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *MAP_COLUMNS])
        for number, row in enumerate(rows, 1):
            values = [row[column] for column in columns]
            if error := wrong(row):
                writer.writerow([*values, "new", "failure", "", "", "", error])
                continue
            name = f"{number:05}.xml"
            (folder / name).write_text(f"<record n='{number}'/>")
            key = encode(bid, "/collectionobjects", row[identifier].strip(), "CREATE")
            writer.writerow([*values, "new", "success", name, key, "", ""])
    return folder


def write_csv(path: Path, *rows: list[str]) -> Path:
    """A CSV with these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path
