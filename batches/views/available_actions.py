"""What can be done next with a batch: the buttons of its page, and a hint at the next step."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from batches.choices import UPLOADABLE, BatchStatus
from batches.corrections.status import CorrectionStatus
from batches.ingest import healing
from batches.ingest.scheduled import scheduled_options
from batches.models import Batch
from batches.upload_queue.entries import files_are_here
from core.formatting import pluralize

NOT_STARTED = (BatchStatus.ADDED, BatchStatus.MAPPED)


@dataclass(frozen=True)
class ActionLink:
    """One button."""

    label: str
    view: str
    """Name of the URL of the page that asks."""
    icon: str
    css: str = ""


def available_actions(batch: Batch, user: User | AnonymousUser, *, has_retried: bool) -> list[ActionLink]:
    """The actions that the state of the batch and the user's permissions allow. The pages they open check more closely."""
    can_change, can_delete = user.has_perm("batches.change_batch"), user.has_perm("batches.delete_batch")
    if batch.archived_at:
        return [ActionLink("Unarchive", "batches:unarchive", "archive-restore")] if can_change else []
    is_ingested, is_idle = batch.status == BatchStatus.INGESTED, not batch.upload_owner
    in_ingest = batch.status == BatchStatus.UPLOADED and not batch.upload_is_open
    is_checkable = batch.ingest_errs if is_ingested else in_ingest
    was_uploaded = batch.status in UPLOADABLE and batch.was_uploaded
    is_queueable = not batch.queued_at and is_idle and (batch.status in NOT_STARTED or batch.upload_is_open)
    possible = (
        (
            can_change and is_queueable and files_are_here(batch),
            ActionLink("Queue upload", "batches:queue", "list-plus", "" if batch.queue_stop else "primary"),
        ),
        (can_change and batch.queue_stop, ActionLink("Resume upload queue", "batches:resume_queue", "play", "primary")),
        (can_change and batch.queued_at, ActionLink("Remove from queue", "batches:unqueue", "list-x")),
        (can_change and is_checkable, ActionLink("Check now", "batches:check", "scan-search", "primary")),
        (can_change and is_ingested, ActionLink("Undo ingest result", "batches:rollback_ingest", "undo-2")),
        (can_change and is_idle and was_uploaded, ActionLink("Undo upload", "batches:rollback_upload", "undo-2")),
        (
            can_change and (is_ingested or (is_idle and not batch.was_uploaded)),
            ActionLink("Archive", "batches:archive", "archive"),
        ),
        (
            can_delete and is_ingested and batch.ingest_errs,
            ActionLink("Delete remaining objects", "batches:clear", "trash-2", "danger"),
        ),
        (
            can_delete and is_ingested and has_retried,
            ActionLink("Delete retried objects", "batches:clear_retried", "repeat", "danger"),
        ),
    )
    return [action for is_allowed, action in possible if is_allowed]


def next_step_hint(batch: Batch, corrections: CorrectionStatus) -> str:
    """What to do next, in a sentence; commands in backquotes."""
    if batch.archived_at:
        return "Archived: it can't be uploaded or checked."
    if batch.queued_at and (batch.status in NOT_STARTED or batch.upload_is_open):
        return "Queued: it is uploaded when its turn comes. To show the queue: `python manage.py batch queue`"
    if batch.upload_is_open:
        return (
            f"If no upload is running, resume it with `python manage.py batch upload {batch}`; nothing is sent twice."
        )
    if batch.status == BatchStatus.UPLOADED:
        return f"The scheduled check ends when no objects remain, or when nothing has changed for {quiet_time()}."
    if batch.status != BatchStatus.INGESTED:
        return f"Next: run `python manage.py batch upload {batch}` on the machine that has its files."
    if not corrections.open:
        return "Done. You can archive it."
    if not batch.ingest_errs:
        return f"Done, except for what was not uploaded. {_correct(batch)}"
    end = healing.healing_ends_at(batch)
    watching = (
        f" Watching for late ingests until {timezone.localtime(end):%Y-%m-%d %H:%M}."
        if end and end > timezone.now()
        else ""
    )
    return f"{_correct(batch)}{watching}"


def _correct(batch: Batch) -> str:
    return (
        "Download the corrections, correct and map them, and add them as a new batch:"
        f" `python manage.py batch add NEW FOLDER --corrects {batch}`."
    )


def quiet_time() -> str:
    """How long nothing must change before the scheduled check says that a batch has errors: `30 minutes`."""
    return pluralize(round(scheduled_options().quiet_minutes), "minute")
