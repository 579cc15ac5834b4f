"""States, outcomes and results of feeds, files and attempts, each with its colour."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices


class FeedState(TextChoices):
    """The state of a feed."""

    PAUSED = "paused", "Paused"
    UNAVAILABLE = "server away", "Server unavailable"
    NEVER_CHECKED = "never checked", "Never checked"
    OK = "in order", "OK"


class FindingKind(StrEnum):
    """A kind of difference between bucket, ledger and server."""

    NOT_LOADED = "not_loaded"
    """In the bucket and not in the server: it waits, or the next scan will find it."""
    REJECTED = "rejected"
    """In the bucket and not in the server, because it was rejected."""
    LOST = "lost"
    """Loaded according to the ledger, but not in the server: was the server restored from a backup?"""
    LOST_AND_GONE = "lost_and_gone"
    """The same, and its file is no longer in the bucket: it can't be loaded again from there."""
    OTHER_NAME = "other_name"
    """Loaded under another id than that of its file name."""
    CONFLICTING = "conflicting"
    """The server keeps another sequence for this id."""
    UNPROVEN = "unproven"
    """Stored, but nothing proves that the server also stored its links."""
    INVALID = "invalid"
    """Stored, and not compared with others: too many N."""
    SEQUENCE_DIFFERS = "sequence_differs"
    """The server's digest is not that of the file: it holds another sequence under this id."""
    NOT_COMPARED = "not_compared"
    """Its sequence could not be compared with that of the server."""
    NOT_IN_BUCKET = "not_in_bucket"
    """In the server, but neither in this bucket nor loaded by another feed of the server."""


FINDING_KINDS = [(kind.value, kind.value.replace("_", " ")) for kind in FindingKind]


class TwinKind(TextChoices):
    """A kind of difference between two servers that should hold the same samples."""

    ONLY_FIRST = "only_first", "Only in first"
    ONLY_SECOND = "only_second", "Only in second"
    QUEUED = "queued", "Waiting"
    VALIDITY = "validity_differs", "Too many N in one"
    SEQUENCE = "sequence_differs", "Other sequence"
    NOT_COMPARED = "not_compared", "Not compared"


class ObjectState(TextChoices):
    """The state of one version of one object."""

    WAITING = "waiting", "Waiting"
    LOADING = "loading", "Loading"
    LOADED = "loaded", "Loaded"
    REJECTED = "rejected", "Rejected"
    GONE = "gone", "Gone"


class SampleIdRule(TextChoices):
    """Which part of a file's name is its sample id."""

    FIRST_DOT = "first-dot", "The file name up to its first dot"
    ENDING = "ending", "The file name without its ending"


class LoadResult(TextChoices):
    """The result of a loaded sample."""

    INSERTED = "inserted", "Inserted"
    FOUND = "found", "Found in the server after an unclear answer"
    SAME = "same", "Already there, same sequence"
    PRESENT = "present", "Already there, not compared"
    CONFLICTING = "conflicting", "Conflict: the server keeps another sequence"
    UNPROVEN = "unproven", "Stored, links unproven"
    INVALID = "invalid", "Stored, too many N to be compared"


class SampleStatus(TextChoices):
    """What is known about one sample of a list; the first are those that need somebody."""

    UNKNOWN = "unknown", "Unknown"
    REJECTED = "rejected", "Rejected"
    GONE = "gone", "Gone"
    FAILED = "failed", "Not loaded"
    RETRY = "retry", "Will retry"
    WAITING = "waiting", "Waiting"
    LOADING = "loading", "Loading"
    IN = "in", "In"


class CircuitKind(TextChoices):
    """Why nothing is sent to a server for a while."""

    AWAY = "away", "unavailable"
    REFUSES = "refuses", "refusing every insert"
    LOCKED = "locked", "locked by another insert"


class AttemptOutcome(TextChoices):
    """How an attempt ended; NULL in adopted rows of the old loader."""

    OPEN = "open", "Open"
    INSERTED = "inserted", "Inserted"
    PRESENT = "present", "Already there"
    FOUND = "found", "Found in the server after an unclear answer"
    UNPROVEN = "unproven", "Stored, links unproven"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed, will retry"
    NOT_SENT = "not_sent", "Not sent"


FEED_STATE_COLOURS: dict[str, str] = {
    FeedState.PAUSED: "red",
    FeedState.UNAVAILABLE: "red",
    FeedState.NEVER_CHECKED: "grey",
    FeedState.OK: "green",
}
OUTCOME_COLOURS: dict[str, str] = {
    AttemptOutcome.OPEN: "blue",
    AttemptOutcome.INSERTED: "green",
    AttemptOutcome.PRESENT: "green",
    AttemptOutcome.FOUND: "green",
    AttemptOutcome.UNPROVEN: "orange",
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
SAMPLE_STATUS_COLOURS: dict[str, str] = {
    SampleStatus.UNKNOWN: "red",
    SampleStatus.REJECTED: "red",
    SampleStatus.GONE: "orange",
    SampleStatus.FAILED: "orange",
    SampleStatus.RETRY: "orange",
    SampleStatus.WAITING: "grey",
    SampleStatus.LOADING: "blue",
    SampleStatus.IN: "green",
}
RESULT_COLOURS: dict[str, str] = {
    LoadResult.INSERTED: "green",
    LoadResult.FOUND: "green",
    LoadResult.SAME: "green",
    LoadResult.PRESENT: "green",
    LoadResult.CONFLICTING: "orange",
    LoadResult.UNPROVEN: "orange",
    LoadResult.INVALID: "orange",
}
FINDING_COLOURS: dict[str, str] = {
    FindingKind.NOT_LOADED: "grey",
    FindingKind.REJECTED: "orange",
    FindingKind.LOST: "red",
    FindingKind.LOST_AND_GONE: "red",
    FindingKind.OTHER_NAME: "grey",
    FindingKind.CONFLICTING: "orange",
    FindingKind.UNPROVEN: "orange",
    FindingKind.INVALID: "orange",
    FindingKind.SEQUENCE_DIFFERS: "red",
    FindingKind.NOT_COMPARED: "grey",
    FindingKind.NOT_IN_BUCKET: "grey",
}
TWIN_COLOURS: dict[str, str] = {
    TwinKind.ONLY_FIRST: "orange",
    TwinKind.ONLY_SECOND: "orange",
    TwinKind.QUEUED: "grey",
    TwinKind.VALIDITY: "orange",
    TwinKind.SEQUENCE: "red",
    TwinKind.NOT_COMPARED: "grey",
}
RESULT_REASONS = {
    LoadResult.CONFLICTING: "the server keeps another sequence under this id",
    LoadResult.INVALID: "the server holds it, but does not compare it: too many N",
}
