"""Arguments and output that several subcommands of `batch` share."""

from __future__ import annotations

import argparse
import io
from itertools import islice

from batches.cli import facts
from batches.creation.csv_reader import ENCODINGS
from batches.models import Batch
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize


def add_batch_argument(parser: CommandParser) -> None:
    """The id of an existing batch."""
    parser.add_argument("bid", metavar="BID", help="id of the batch")


def add_encoding_argument(parser: CommandParser) -> None:
    """The encoding of CSV files."""
    parser.add_argument(
        "--encoding",
        type=_encoding,
        help="encoding of CSV files without a byte order mark, such as cp1252 (default: UTF-8)",
    )


def _encoding(text: str) -> str:
    try:
        # Also refuses codecs that are not encodings of text.
        io.TextIOWrapper(io.BytesIO(), encoding=text)
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"unknown encoding {text!r}: use {', '.join(ENCODINGS)} or another one of Python's"
        ) from error
    return text


def print_uncertain(command: FnloaderCommand, batch: Batch, number: int) -> None:
    """Lists the records that may have been ingested, if any."""
    if not number:
        return
    command.stdout.write(f"  {pluralize(number, 'uncertain record')}, which may have been ingested or never sent:")
    for record in islice(facts.uncertain_records(batch), facts.MAX_RECORDS):
        command.stdout.write(f"    row {record['row']}: {record['identifier']} ({record['action']})")
    if number > facts.MAX_RECORDS:
        command.stdout.write(f"    … and {number - facts.MAX_RECORDS} more: manage.py batch show {batch} --json")
    command.stdout.write("  Look them up in CollectionSpace. To send them again anyway: --resend-uncertain")
