"""Which samples of a list are in a server, since when, or why not: by index, a few hundred at a time, in flat memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from core.exceptions import OperationRefused
from core.id_lists import id_terms
from core.id_reports import IdReport, RowKind
from core.temporary import in_pages
from loader.choices import AttemptOutcome, LoadResult, ObjectState, SampleStatus
from loader.fn4.responses import IN_SERVER
from loader.models import BucketObject, Feed, LoadAttempt, Server

COLUMN_NAMES = (
    "guid", "sampleid", "sample", "samplename", "sampleguid", "seqid", "fn4id", "isolate", "isolateid", "accession",
    "filename", "file", "fasta", "name", "id",
)  # fmt: skip
"""Headings of columns with sample ids, see `core.id_lists.IdTable.guess_column`."""
CHUNK_SIZE = 2000
"""Ids looked up at a time."""
MAX_TERMS = 4000
"""The same with what each may also mean."""
MAX_PLACES = 10
"""Servers that are named for one sample, and in a message."""
WARNINGS = (LoadResult.CONFLICTING, LoadResult.UNPROVEN, LoadResult.INVALID)
"""Results of samples that are in, and not as they should be; the worst first."""


class SampleRow(NamedTuple):
    """One sample of a list in one server, or why it is in none."""

    id: str
    status: str
    server: str | None
    since: str | None
    """Of that status: an ISO time."""
    why: str
    """Why it is not in, or a warning."""
    result: str
    feed: str
    file: str
    known_as: str
    """The sample id that was found, if the list has another text."""


class SampleFact(NamedTuple):
    """What one row of the ledger, or of the attempts, says about a sample."""

    order: int
    """Later ones are newer."""
    server: str
    status: SampleStatus
    since: datetime | None
    why: str = ""
    result: str = ""
    feed: str = ""
    file: str = ""


SAMPLE_ROWS = RowKind(SampleRow._make, SampleRow._fields)
_STATUS: dict[str, SampleStatus] = {
    ObjectState.LOADING: SampleStatus.LOADING,
    ObjectState.LOADED: SampleStatus.IN,
    ObjectState.REJECTED: SampleStatus.REJECTED,
    ObjectState.GONE: SampleStatus.GONE,
}
_RANKS = {status.value: rank for rank, status in enumerate(SampleStatus)}


def sample_report(ids: Iterable[str], server: str = "", db: str = "default") -> IdReport[SampleRow]:
    """The report about these samples; with a server (see `find_server`), about that one alone."""
    report: IdReport[SampleRow] = IdReport(SAMPLE_ROWS, SampleStatus.values, {SampleStatus.IN})
    sources = _Sources(db)
    for chunk in in_pages(ids, CHUNK_SIZE):
        terms = {text: id_terms(text) for text in chunk}
        facts = sources.facts({term for some in terms.values() for term in some})
        for text, some in terms.items():
            sample = next((term for term in some if term in facts), "")
            known = facts.get(sample, [])
            if len(known) == 1 and not server:
                rows = [_row(text, sample, known[0])]
            else:
                rows = list(_answer(text, sample, known, server))
            status = rows[0].status if len(rows) == 1 else max((row.status for row in rows), key=_RANKS.__getitem__)
            report.add(status, rows, warned=any(row.result in WARNINGS for row in rows))
    return report


def totals(report: IdReport[SampleRow]) -> dict[str, int]:
    """Ids of the report by status, and how many of those that are in have a warning."""
    counts = {status.value: report.counts[status] for status in SampleStatus}
    return {"total": report.total, **counts, "warnings": report.warned}


def find_server(url: str, db: str = "default") -> str:
    """The server as reports name it, by its normalised URL or its identity. Raises OperationRefused if none is known."""
    servers = Server.objects.using(db)
    match = servers.filter(Q(url=url) | Q(identity=url)).order_by("pk").first()
    if match:
        return match.identity
    if LoadAttempt.objects.using(db).filter(findneighbour_server_url=url).exists():
        return url
    known = ", ".join(servers.order_by("identity").values_list("identity", flat=True)[:MAX_PLACES])
    raise OperationRefused(f"No feed loads into the server {url}. Known: {known or 'none'}.")


class _Sources:
    """The tables, with the feeds and servers that their rows name."""

    def __init__(self, db: str) -> None:
        self._objects = BucketObject.objects.using(db).order_by()
        attempts = LoadAttempt.objects.using(db).order_by()
        # By the index on the file whether there are any, and not which: of older loaders' rows all have none.
        without_file = attempts.annotate(file_key=Coalesce("bucket_object_id", Value(0))).filter(file_key=0)
        self._attempts = without_file if attempts.filter(bucket_object=None).exists() else None
        self._feeds = {feed.pk: feed for feed in Feed.objects.using(db).select_related("server")}
        self._places = {key: feed.server.identity for key, feed in self._feeds.items()}
        self._servers = {server.pk: server for server in Server.objects.using(db)}
        urls = Counter(server.url for server in self._servers.values())
        # What older loaders wrote: the URL alone.
        self._by_url = {server.url: server.identity for server in self._servers.values() if urls[server.url] == 1}

    def facts(self, terms: set[str]) -> dict[str, list[SampleFact]]:
        """By sample id."""
        found: dict[str, list[SampleFact]] = defaultdict(list)
        for some in in_pages(sorted(terms), MAX_TERMS):
            for term, fact in (*self._from_objects(set(some)), *self._from_attempts(set(some))):
                found[term].append(fact)
        return found

    def _from_objects(self, terms: set[str]) -> Iterator[tuple[str, SampleFact]]:
        since = Coalesce("done_at", "created")
        columns = ("pk", "feed", "state", since, "tries", "not_before", "reason", "result", "name")
        by_name = self._objects.filter(seqid__among=terms).values_list("seqid", *columns)
        # Under another id than that of its file: few, found in the index on both.
        by_guid = self._objects.filter(guid__among=terms).exclude(guid=F("seqid")).values_list("guid", *columns)
        for rows in (by_name, by_guid):
            for term, *row in rows:
                yield term, self._object_fact(*row)

    def _object_fact(
        self,
        pk: int,
        feed_pk: int,
        state: str,
        since: datetime,
        tries: int,
        not_before: datetime | None,
        reason: str,
        result: str,
        name: str,
    ) -> SampleFact:
        feed, place = self._feeds[feed_pk], self._places[feed_pk]
        status = _STATUS.get(state)
        if status is not None:
            why = _warning(result) or reason
            return SampleFact(pk, place, status, since, why, result, feed.name, name)
        status = SampleStatus.RETRY if tries or not_before or reason else SampleStatus.WAITING
        reasons = [reason]
        if feed.paused_at:
            reasons.insert(0, f"feed {feed.name} is paused")
        elif feed.server.circuit_open_since:
            reasons.insert(0, "the server is unavailable")
        if not_before:
            reasons.append(f"next try {not_before.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
        why = "; ".join(filter(None, reasons)) or "queued"
        return SampleFact(pk, place, status, since, why, "", feed.name, name)

    def _from_attempts(self, terms: set[str]) -> Iterator[tuple[str, SampleFact]]:
        """From attempts without a file: of older loaders, and of feeds that were removed."""
        if self._attempts is None:
            return
        columns = (
            "gp_int_id", "server", "findneighbour_server_url", "insert_status_code", "insert_end_time",
            "insert_start_time", "bucket_read_start_time", "message", "parse_status", "file_name", "outcome",
        )  # fmt: skip
        by_name = self._attempts.filter(seqid__among=terms).values_list("seqid", *columns)
        other = Q(seqid__lt=F("fn4id")) | Q(seqid__gt=F("fn4id")) | Q(seqid=None)
        by_id = self._attempts.filter(other, fn4id__among=terms).values_list("fn4id", *columns)
        for rows in (by_name, by_id):
            for term, pk, server_pk, url, code, ended, sent, read, message, parsed, name, outcome in rows:
                server = self._servers.get(server_pk) if server_pk else None
                place = server.identity if server else self._by_url.get(url or "", url or "")
                result = LoadResult.UNPROVEN if outcome == AttemptOutcome.UNPROVEN else ""
                status, why, since = SampleStatus.IN, _warning(result), ended or sent
                if code not in IN_SERVER and not result:
                    answered = f"HTTP {code}" if code else "no answer"
                    reason = message or (parsed if parsed != "Success" else "") or answered
                    status, why, since = SampleStatus.FAILED, f"last attempt: {reason}", read or sent
                yield term, SampleFact(-pk, place, status, since, why, result, "", name or "")


def _answer(text: str, sample: str, facts: list[SampleFact], server: str) -> Iterator[SampleRow]:
    """A row for each server that holds it; else one for each server that does not."""
    by_server: dict[str, list[SampleFact]] = defaultdict(list)
    for fact in facts:
        by_server[fact.server].append(fact)
    elsewhere = sorted(place for place in by_server if place != server)
    if server:
        by_server = {server: by_server[server]} if server in by_server else {}
    if not by_server:
        why = (
            f"not known for {server}; known for {', '.join(elsewhere[:MAX_PLACES])}"
            if elsewhere
            else "no file and no attempt"
        )
        yield SampleRow(
            text, SampleStatus.UNKNOWN, server or None, None, why, "", "", "", sample if sample != text else ""
        )
        return
    best = {place: _newest(some) for place, some in by_server.items()}
    holding = {place: fact for place, fact in best.items() if fact.status == SampleStatus.IN}
    for _, fact in sorted((holding or best).items())[:MAX_PLACES]:
        yield _row(text, sample, fact)


def _row(text: str, sample: str, fact: SampleFact) -> SampleRow:
    since = fact.since.astimezone(UTC).isoformat(timespec="seconds") if fact.since else None
    place, known_as = fact.server, sample if sample != text else ""
    return SampleRow(text, fact.status, place, since, fact.why, fact.result, fact.feed, fact.file, known_as)


def _newest(facts: list[SampleFact]) -> SampleFact:
    """What holds in one server: that it is in, since the first time and with the worst warning; else the newest file."""
    holding = [fact for fact in facts if fact.status == SampleStatus.IN]
    if holding:
        worst = next((result for result in WARNINGS for fact in holding if fact.result == result), "")
        first = min(holding, key=lambda fact: (fact.since is None, fact.since, fact.order))
        return first._replace(result=worst or first.result, why=_warning(worst))
    # Rows of attempts count last, those of files that are gone before them.
    return max(facts, key=lambda fact: (fact.order > 0, fact.status != SampleStatus.GONE, abs(fact.order)))


def _warning(result: str) -> str:
    return str(LoadResult(result).label) if result in WARNINGS else ""
