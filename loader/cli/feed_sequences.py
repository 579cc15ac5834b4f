"""`feed reconcile --sequences`: prints what differs, and how to continue after an interruption."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from shlex import quote
from typing import Any

from core.commands import FnloaderCommand
from loader.choices import FindingKind
from loader.feeds.manage import client_for
from loader.feeds.store_urls import open_feed_store
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.maintenance.reconcile import Difference
from loader.maintenance.sequences import DEFAULT_PACE, SequenceComparison
from loader.maintenance.twins import TwinDifference
from loader.models import Feed
from objectstores.base import StoreError

DIFFERENCES = 10


def compare_sequences(command: FnloaderCommand, feed: Feed, options: dict[str, Any]) -> int:
    """Returns the exit status. Whatever ends it early, it says how to go on."""
    with closing(open_feed_store(feed.store_url)) as store, closing(client_for(feed)) as fn4:
        compared = SequenceComparison(
            feed,
            store,
            fn4,
            options["database"],
            options["pace"] or DEFAULT_PACE,
            options["after"],
            dry_run=options["dry_run"],
        )
        try:
            for difference in compared.differences():
                write_difference(command, difference, as_json=options["json"])
        except (KeyboardInterrupt, StoreError, ServerUnavailable, ServerMisconfigured):
            if last := compared.last or compared.after:
                command.stderr.write(
                    f"Continue with: manage.py feed reconcile {feed} --sequences --after {quote(last)}"
                )
            raise
    kinds = (FindingKind.SEQUENCE_DIFFERS, FindingKind.NOT_COMPARED)
    counts = {"same": compared.same} | {kind.value: compared.counts[kind] for kind in kinds}
    if options["json"]:
        command.stdout.write(json.dumps({"counts": counts, "corrected": compared.corrected}))
    else:
        texts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
        would = "would be corrected" if compared.dry_run else "corrected"
        command.stdout.write(f"{feed}: {texts}; {compared.corrected:,} results in the ledger {would}")
    return DIFFERENCES if compared.counts else 0


def write_difference(command: FnloaderCommand, difference: Difference | TwinDifference, *, as_json: bool) -> None:
    """One line."""
    row = asdict(difference)
    command.stdout.write(json.dumps(row) if as_json else "  ".join(text for text in row.values() if text))
