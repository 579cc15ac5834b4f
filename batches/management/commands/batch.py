"""`manage.py batch`: the life of a batch, a step at a time. The subcommands are in batches/cli."""

from __future__ import annotations

from batches.cli import add, corrections, lifecycle, records, show, summary, tags, tracking_csv, upload, upload_queue
from batches.upload.lock import UploadLockLost
from core.exceptions import OperationRefused
from core.subcommands import SubcommandsCommand


class Command(SubcommandsCommand):
    """Each subcommand parses its arguments and calls one function."""

    help = "Adds, uploads, shows, corrects, clears and archives batches."
    subcommands = (
        *add.SUBCOMMANDS,
        *upload.SUBCOMMANDS,
        *upload_queue.SUBCOMMANDS,
        *show.SUBCOMMANDS,
        *records.SUBCOMMANDS,
        *corrections.SUBCOMMANDS,
        *tags.SUBCOMMANDS,
        *summary.SUBCOMMANDS,
        *lifecycle.SUBCOMMANDS,
        *tracking_csv.SUBCOMMANDS,
    )
    failures = (OperationRefused, UploadLockLost)
