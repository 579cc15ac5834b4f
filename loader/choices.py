"""States, outcomes and results of feeds, files and attempts, each with its colour; here and nowhere else."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices


class FeedState(TextChoices):
    """Where a feed stands."""

    PAUSED = "paused", "paused"
    AWAY = "server away", "server away"
    NEVER = "never checked", "never checked"
    IN_ORDER = "in order", "in order"


class FindingKind(StrEnum):
    """What a difference is."""

    NOT_LOADED = "not_loaded"
    """In the bucket and not in the server: it waits, or the next look will find it."""
    REJECTED = "rejected"
    """In the bucket and not in the server, because it can't be loaded."""
    LOST = "lost"
    """Loaded, says the ledger, and not in the server: was that restored from a backup?"""
    LOST_AND_GONE = "lost_and_gone"
    """The same, and its file is no longer in the bucket: it can't be loaded again from there."""
    OTHER_NAME = "other_name"
    """Loaded under another id than its file's name says."""
    CONFLICTING = "conflicting"
    """The server keeps another sequence under this id."""
    NOT_IN_BUCKET = "not_in_bucket"
    """In the server, and neither in this bucket nor loaded by another feed of the server."""


FINDING_KINDS = [(kind.value, kind.value.replace("_", " ")) for kind in FindingKind]


class ObjectState(TextChoices):
    """Where one version of one object stands."""

    WAITING = "waiting", "Waiting"
    LOADING = "loading", "Loading"
    LOADED = "loaded", "Loaded"
    REJECTED = "rejected", "Rejected"
    GONE = "gone", "Gone"


class LoadResult(TextChoices):
    """How a loaded sample came to be in the server."""

    INSERTED = "inserted", "Inserted by us"
    FOUND = "found", "Sent by us, found in the server after an unclear answer"
    SAME = "same", "Already there, same sequence"
    PRESENT = "present", "Present before, not compared"
    CONFLICTING = "conflicting", "The server keeps another sequence"


class AttemptOutcome(TextChoices):
    """How an attempt ended. Adopted rows of the old loader have none."""

    OPEN = "open", "Not closed yet"
    INSERTED = "inserted", "Inserted"
    PRESENT = "present", "Already in the server"
    FOUND = "found", "No clear answer, found in the server afterwards"
    REJECTED = "rejected", "Can't be loaded"
    FAILED = "failed", "Failed, to be tried again"
    NOT_SENT = "not_sent", "Never sent"


FEED_STATE_COLOURS: dict[str, str] = {
    FeedState.PAUSED: "red",
    FeedState.AWAY: "red",
    FeedState.NEVER: "grey",
    FeedState.IN_ORDER: "green",
}
OUTCOME_COLOURS: dict[str, str] = {
    AttemptOutcome.OPEN: "blue",
    AttemptOutcome.INSERTED: "green",
    AttemptOutcome.PRESENT: "green",
    AttemptOutcome.FOUND: "green",
    AttemptOutcome.REJECTED: "red",
    AttemptOutcome.FAILED: "orange",
    AttemptOutcome.NOT_SENT: "grey",
}
OBJECT_STATE_COLOURS: dict[str, str] = {
    ObjectState.WAITING: "grey",
    ObjectState.LOADING: "blue",
    ObjectState.LOADED: "green",
    ObjectState.REJECTED: "red",
    ObjectState.GONE: "grey",
}
RESULT_COLOURS: dict[str, str] = {
    LoadResult.INSERTED: "green",
    LoadResult.FOUND: "green",
    LoadResult.SAME: "green",
    LoadResult.PRESENT: "green",
    LoadResult.CONFLICTING: "orange",
}
FINDING_COLOURS: dict[str, str] = {
    FindingKind.NOT_LOADED: "grey",
    FindingKind.REJECTED: "orange",
    FindingKind.LOST: "red",
    FindingKind.LOST_AND_GONE: "red",
    FindingKind.OTHER_NAME: "grey",
    FindingKind.CONFLICTING: "orange",
    FindingKind.NOT_IN_BUCKET: "grey",
}
