"""Where a sample is: all that the tables know of one id, and what each server says when it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from core.formatting import format_age
from core.lists.filters import begins
from loader.choices import LoadResult, ObjectState
from loader.fasta.parser import sample_id
from loader.models import BucketObject, Feed, LoadAttempt

MOST = 50


@dataclass(frozen=True)
class SampleHit:
    """A sample id that was found, and the newest file of that id, if there is one."""

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
    """Whose servers may hold it."""

    @property
    def known(self) -> bool:
        """Whether we ever saw it."""
        return bool(self.files or self.attempts)

    @property
    def loaded(self) -> list[BucketObject]:
        """Its files that are in a server."""
        return [file for file in self.files if file.state == ObjectState.LOADED]

    @property
    def colour(self) -> str:
        """Of the sentence."""
        if self.loaded or any(attempt.in_server for attempt in self.attempts):
            return "orange" if any(file.result == LoadResult.CONFLICTING for file in self.loaded) else "green"
        return "red" if any(file.state == ObjectState.REJECTED for file in self.files) else "grey"

    @property
    def sentence(self) -> str:
        """Whether it is in, where, since when, or why not."""
        said = [_loaded(file) for file in self.loaded] or [_old(one) for one in self.attempts if one.in_server][:1]
        if said:
            return f"{self.id} is in: " + "; ".join(said[:5]) + "."
        if self.files:
            return f"{self.id} is not in. " + " ".join(_not_in(file) for file in self.files[:5])
        if self.attempts:
            last = self.attempts[0]
            return f"{self.id} is not in: the last attempt said '{last.message or last.parse_status or 'nothing'}'."
        return f"Nothing is known of {self.id}: no file and no attempt has that id."


def look_up(sample: str) -> SampleReport:
    """Three queries, by index: files, attempts, feeds."""
    files = BucketObject.objects.filter(Q(seqid=sample) | Q(guid=sample)).select_related("feed__server")
    tried = LoadAttempt.objects.filter(Q(seqid=sample) | Q(fn4id=sample)).select_related("feed__server")
    found, attempts = list(files.order_by("-pk")[:MOST]), list(tried.order_by("-gp_int_id")[:MOST])
    feeds = {feed.pk: feed for feed in [file.feed for file in found] + [one.feed for one in attempts] if feed}
    return SampleReport(sample, found, attempts, list(feeds.values()) or list(_few_feeds()))


def neighbours(attempt: LoadAttempt, number: int = 5) -> list[LoadAttempt]:
    """Attempts of the same batch load just before and after this one, in their order."""
    if not attempt.batch_load_id:
        return []
    same = LoadAttempt.objects.filter(batch_load=attempt.batch_load_id)
    before = list(same.filter(pk__lt=attempt.pk).order_by("-gp_int_id")[:number])
    return [*reversed(before), *same.filter(pk__gt=attempt.pk).order_by("gp_int_id")[:number]]


def ids_with_prefix(text: str, most: int) -> list[str]:
    """Sample ids that begin so, or whose file has that name, in their order."""
    ids: set[str] = set()
    for rows, columns in ((BucketObject.objects, ("seqid", "guid")), (LoadAttempt.objects, ("seqid", "fn4id"))):
        for column in columns:
            found = rows.filter(**begins(column, text)).order_by(column).values_list(column, flat=True)
            ids |= set(found.distinct()[: most + 1])
    if "." in text or "/" in text:
        ids |= set(_of_file(text))
    return sorted(ids)


def sample_hits(ids: list[str]) -> list[SampleHit]:
    """Where each stands; one query, by index."""
    files = BucketObject.objects.filter(seqid__in=ids).select_related("feed").order_by("pk")
    newest = {file.seqid: file for file in files}
    return [SampleHit(one, newest.get(one)) for one in ids]


def ids_containing(text: str, feed: Feed, since: datetime, until: datetime, most: int) -> list[str]:
    """Sample ids of a feed's files seen in that span whose names contain the text: reads all these files."""
    # All states are named, so that the index on feed, state and time serves it.
    rows = BucketObject.objects.filter(feed=feed, state__in=ObjectState.values, created__gte=since, created__lt=until)
    rows = rows.filter(name__contains=text)
    return sorted(set(rows.order_by("created").values_list("seqid", flat=True)[: most + 1]))


def _of_file(name: str) -> Iterator[str]:
    sample = sample_id(name)
    for rows, column in ((BucketObject.objects, "name"), (LoadAttempt.objects, "file_name")):
        if rows.filter(seqid=sample, **begins(column, name)).exists():
            yield sample


def _few_feeds() -> Iterator[Feed]:
    yield from Feed.objects.select_related("server").order_by("name")[:10]


def _loaded(file: BucketObject) -> str:
    since = f"since {format_age(file.done_at)} ago" if file.done_at else "since an unknown time"
    how = f" ({file.get_result_display()[0].lower()}{file.get_result_display()[1:]})" if file.result else ""
    return f"in {file.feed.server.url} {since}{how}"


def _old(attempt: LoadAttempt) -> str:
    return f"in {attempt.findneighbour_server_url}, says an attempt of an older loader"


def _not_in(file: BucketObject) -> str:
    if file.state == ObjectState.REJECTED:
        return f"{file.name} of feed {file.feed} can't be loaded: {file.reason}"
    if file.state == ObjectState.GONE:
        return f"{file.name} left the bucket of feed {file.feed} before it was loaded."
    why = f"feed {file.feed} is paused" if file.feed.paused_at else ""
    if file.feed.server.circuit_open_since:
        why = f"the server of feed {file.feed} is away"
    waited = f"{file.name} of feed {file.feed} has waited for {format_age(file.created)}"
    return f"{waited}: {why or file.reason or 'it is its turn soon'}."
