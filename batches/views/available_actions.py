"""What may be done next with a batch: the buttons of its page, and the one sentence that says how to go on."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from batches.choices import UPLOADABLE, BatchStatus
from batches.ingest import healing
from batches.ingest.options import SCHEDULED
from batches.models import Batch

QUIET_TIME = f"{SCHEDULED.quiet_seconds / 60:.0f} minutes"
CHANGE = "batches.change_batch"
DELETE = "batches.delete_batch"


@dataclass(frozen=True)
class ActionLink:
    """One button."""

    label: str
    view: str
    """Name of the URL of the page that asks."""
    icon: str
    css: str = ""


def available_actions(batch: Batch, user: User | AnonymousUser) -> list[ActionLink]:
    """What its state allows, and the user may. The pages that they lead to look again, closer."""
    acts = user.has_perm(CHANGE)
    if batch.archived_at:
        return [ActionLink("Unarchive", "batches:unarchive", "archive-restore")] if acts else []
    found = list(_action_links(batch)) if acts else []
    if batch.ingest_errs and batch.status == BatchStatus.INGESTED and user.has_perm(DELETE):
        found.append(ActionLink("Delete remaining objects", "batches:clear", "trash-2", "danger"))
    return found


def _action_links(batch: Batch) -> list[ActionLink]:
    ingested = batch.status == BatchStatus.INGESTED
    quiet = not batch.upload_owner
    possible = (
        (_checkable(batch), ActionLink("Check now", "batches:check", "scan-search", "first")),
        (ingested, ActionLink("Undo ingest result", "batches:rollback_ingest", "undo-2")),
        (
            batch.status in UPLOADABLE and quiet and (batch.upload_started or batch.uploaded_at),
            ActionLink("Undo upload", "batches:rollback_upload", "undo-2"),
        ),
        (ingested or (quiet and not batch.upload_started), ActionLink("Archive", "batches:archive", "archive")),
    )
    return [offer for allowed, offer in possible if allowed]


def _checkable(batch: Batch) -> bool:
    if batch.status == BatchStatus.INGESTED:
        return bool(batch.ingest_errs)
    return batch.status == BatchStatus.UPLOADED and not batch.upload_is_open


def next_step_hint(batch: Batch) -> str:
    """How to go on, in a sentence; commands in backquotes."""
    if batch.archived_at:
        return "It is archived: it is neither sent nor checked any more."
    if batch.upload_is_open:
        return f"If nobody uploads it, go on with `python manage.py batch upload {batch}`: nothing is sent twice."
    if batch.status == BatchStatus.UPLOADED:
        return f"The check that runs by itself ends when nothing is left, or when nothing has changed for {QUIET_TIME}."
    if batch.status != BatchStatus.INGESTED:
        return f"Next: `python manage.py batch upload {batch}`, where its files are."
    if not batch.ingest_errs:
        return "Nothing is left to do but to archive it."
    until = healing.healing_ends_at(batch)
    watched = (
        f" Until {timezone.localtime(until):%Y-%m-%d %H:%M} it is watched whether some are ingested after all."
        if until and until > timezone.now()
        else ""
    )
    return f"The report says which records failed. Correct them, and send them in a new batch.{watched}"
