"""What a loader before this one recorded about files that a scan finds (domain.md 4): only files without such rows are sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from loader.choices import LoadResult, ObjectState
from loader.fn4.responses import IN_SERVER
from loader.models import Feed, LoadAttempt
from loader.models.feeds import TEXT_LENGTH
from objectstores.base import StoredObject

REJECTED_BEFORE = "rejected by an older loader"
LOADED_BEFORE = "completed by an older loader"
_TIMES = ("bucket_read_start_time", "bucket_read_end_time", "insert_start_time", "batch_start_time")


@dataclass(frozen=True)
class OldResult:
    """What became of a file before."""

    in_server: bool
    guid: str = ""
    """The id under which it was inserted."""
    reason: str = LOADED_BEFORE

    @property
    def columns(self) -> dict[str, str]:
        """The columns of its row in the ledger."""
        if self.in_server:
            return {
                "state": ObjectState.LOADED.value,
                "result": LoadResult.PRESENT.value,
                "guid": self.guid,
                "reason": self.reason,
            }
        return {"state": ObjectState.REJECTED.value, "result": "", "reason": self.reason}


def old_results(feed: Feed, items: Iterable[StoredObject], db: str) -> dict[str, OldResult]:
    """What became of these objects on the feed's server, by name; nothing about those that were not tried, or whose tries failed.

    Adopted attempts name the object, and no version of it.
    """
    adopted = LoadAttempt.objects.using(db).filter(outcome__isnull=True)
    if not adopted.exists():
        return {}
    created = {item.name: item.created for item in items}
    by_name: dict[str, list[LoadAttempt]] = {}
    server_url = feed.server.url.strip().rstrip("/").lower()
    # Sorted here: told to sort, SQLite would read all adopted rows in the order of their keys.
    for attempt in sorted(adopted.filter(file_name__in=list(created)).order_by(), key=lambda attempt: attempt.pk):
        if (attempt.findneighbour_server_url or "").strip().rstrip("/").lower() == server_url:
            by_name.setdefault(attempt.file_name or "", []).append(attempt)
    results = ((name, _result(attempts, created[name])) for name, attempts in by_name.items())
    return {name: result for name, result in results if result}


def _result(attempts: list[LoadAttempt], created: datetime | None) -> OldResult | None:
    inserted = next((attempt for attempt in attempts if attempt.insert_status_code in IN_SERVER), None)
    if inserted:
        return OldResult(in_server=True, guid=(inserted.fn4id or "")[:64])
    status: str | None = ""
    for attempt in attempts:
        if attempt.completed or (attempt.parse_status or "").startswith("Failed"):
            status = attempt.parse_status
    # An object that was written after it was last tried is another one: its old fault says nothing about it.
    tried = [at for attempt in attempts for column in _TIMES if (at := getattr(attempt, column))]
    if status == "" or (created and tried and created > max(tried)):
        return None
    reason = f"{REJECTED_BEFORE}: {status}" if status else REJECTED_BEFORE
    return OldResult(in_server=False, reason=reason[:TEXT_LENGTH])
