"""Where a sample is: all rows about one id, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from core.formatting import format_age
from core.lists.filters import prefix_lookup
from loader.choices import LoadResult, ObjectState
from loader.fasta.names import possible_ids
from loader.models import BucketObject, Feed, LoadAttempt

MAX_ROWS = 50
MAX_SERVERS = 10
DOUBTFUL = (LoadResult.CONFLICTING, LoadResult.UNPROVEN, LoadResult.INVALID)
"""Results of samples that are in a server, and not as they should be."""


@dataclass(frozen=True)
class SampleHit:
    """A sample id, and its newest file, if there is one."""

    id: str
    file: BucketObject | None

    @property
    def colour(self) -> str:
        """Of the file's state."""
        return self.file.colour if self.file else ""


@dataclass(frozen=True)
class SampleReport:
    """One sample id, with its files and attempts, newest first."""

    id: str
    files: list[BucketObject]
    attempts: list[LoadAttempt]
    feeds: list[Feed]
    """The feeds whose servers may hold it."""

    @property
    def known(self) -> bool:
        """Whether there is a file or an attempt."""
        return bool(self.files or self.attempts)

    @property
    def loaded(self) -> list[BucketObject]:
        """Its files that are in a server."""
        return [file for file in self.files if file.state == ObjectState.LOADED]

    @property
    def colour(self) -> str:
        """Of the sentence."""
        if self.loaded or any(attempt.in_server for attempt in self.attempts):
            return "orange" if any(file.result in DOUBTFUL for file in self.loaded) else "green"
        return "red" if any(file.state == ObjectState.REJECTED for file in self.files) else "grey"

    @property
    def sentence(self) -> str:
        """Where it is loaded and since when, or why it is not."""
        places = []
        for file in self.loaded:
            since = f", {format_age(file.done_at)} ago" if file.done_at else ""
            result = f" ({file.get_result_display()[0].lower()}{file.get_result_display()[1:]})" if file.result else ""
            if file.result == LoadResult.UNPROVEN:
                result = f", but its links are unproven: {file.reason}"
            if file.result == LoadResult.INVALID:
                result = ", but has too many N to be compared"
            places.append(f"in {file.feed.server.url}{since}{result}")
        if not places:
            old = [attempt for attempt in self.attempts if attempt.in_server]
            places = [f"in {attempt.findneighbour_server_url} (older loader)" for attempt in old[:1]]
        if places:
            return f"{self.id} is loaded: " + "; ".join(places[:5]) + "."
        if self.files:
            return f"{self.id} is not loaded. " + " ".join(_reason_text(file) for file in self.files[:5])
        if self.attempts:
            last = self.attempts[0]
            return f"{self.id} is not loaded. Last attempt: {last.message or last.parse_status or 'no message'}."
        return f"{self.id} is unknown: no file and no attempt has this id."


def look_up(sample: str) -> SampleReport:
    """Three queries, by index: files, attempts, feeds."""
    files = BucketObject.objects.filter(Q(seqid=sample) | Q(guid=sample)).select_related("feed__server")
    tries = LoadAttempt.objects.filter(Q(seqid=sample) | Q(fn4id=sample)).select_related("feed__server")
    newest, attempts = list(files.order_by("-pk")[:MAX_ROWS]), list(tries.order_by("-gp_int_id")[:MAX_ROWS])
    feeds = {feed.pk: feed for feed in [file.feed for file in newest] + [attempt.feed for attempt in attempts] if feed}
    some = Feed.objects.select_related("server").order_by("name")[:MAX_SERVERS]
    return SampleReport(sample, newest, attempts, list(feeds.values()) or list(some))


def neighbours(attempt: LoadAttempt, number: int = 5) -> list[LoadAttempt]:
    """Attempts of the same batch load just before and after this one, in their order."""
    if not attempt.batch_load_id:
        return []
    same = LoadAttempt.objects.filter(batch_load=attempt.batch_load_id)
    before = list(same.filter(pk__lt=attempt.pk).order_by("-gp_int_id")[:number])
    return [*reversed(before), *same.filter(pk__gt=attempt.pk).order_by("gp_int_id")[:number]]


def ids_with_prefix(text: str, limit: int) -> list[str]:
    """Sample ids with that prefix, or whose file has that name, in order."""
    ids: set[str] = set()
    for rows, columns in ((BucketObject.objects, ("seqid", "guid")), (LoadAttempt.objects, ("seqid", "fn4id"))):
        for column in columns:
            values = rows.filter(**prefix_lookup(column, text)).order_by(column).values_list(column, flat=True)
            ids |= set(values.distinct()[: limit + 1])
    if "." in text or "/" in text:
        for files, column in ((BucketObject.objects, "name"), (LoadAttempt.objects, "file_name")):
            named = files.filter(seqid__in=possible_ids(text), **prefix_lookup(column, text)).order_by("seqid")
            ids |= {str(seqid) for seqid in named.values_list("seqid", flat=True).distinct()[: limit + 1]}
    return sorted(ids)


def sample_hits(ids: list[str]) -> list[SampleHit]:
    """Each id with its newest file; one query, by index."""
    files = BucketObject.objects.filter(seqid__in=ids).select_related("feed").order_by("pk")
    newest = {file.seqid: file for file in files}
    return [SampleHit(sample, newest.get(sample)) for sample in ids]


def ids_containing(text: str, feed: Feed, since: datetime, until: datetime, limit: int) -> list[str]:
    """Sample ids of a feed's files of that span whose names contain the text. Reads all files of the span."""
    # All states are named, so that the index on feed, state and time is used.
    rows = BucketObject.objects.filter(feed=feed, state__in=ObjectState.values, created__gte=since, created__lt=until)
    rows = rows.filter(name__contains=text)
    return sorted(set(rows.order_by("created").values_list("seqid", flat=True)[: limit + 1]))


def _reason_text(file: BucketObject) -> str:
    if file.state == ObjectState.REJECTED:
        return f"{file.name} of feed {file.feed} was rejected: {file.reason}"
    if file.state == ObjectState.GONE:
        return f"{file.name} was deleted from the bucket of feed {file.feed} before it was loaded."
    reason = f"feed {file.feed} is paused" if file.feed.paused_at else ""
    if file.feed.server.circuit_open_since:
        state = file.feed.server.get_circuit_kind_display() or "unavailable"
        reason = f"the server of feed {file.feed} is {state}"
    age = format_age(file.created)
    return f"{file.name} of feed {file.feed} has waited for {age}: {reason or file.reason or 'queued'}."
