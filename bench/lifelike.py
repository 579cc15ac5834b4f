"""Fills a migrated database with a week of lifelike data: feeds, attempts with failures, batches with checks.

For screenshots, for looking at pages while they are made, and for `bench.webpages`; the same numbers make the same rows.
`python -m bench.lifelike --attempts 4000 --feeds 5 --records 6000` fills what DATABASE_URL names.
"""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batches.models import Batch, IngestCheck
    from loader.models import BucketObject, Feed, LoadAttempt

PLACES = ("oxford", "leeds", "cardiff", "belfast", "york", "exeter", "truro", "derby", "hull", "bath")
SPECIES = ("sars-cov-2", "m-tuberculosis", "n-gonorrhoeae", "s-aureus", "e-coli")
RECTYPES = ("collectionobject", "person", "place", "media", "acquisition", "exhibition")
STORES = ("oci://FN4-queue@lhosp", "oci://sequences@lhosp")
REASONS = (
    "Failed, the sequence has 29,120 letters; the server takes 29,903.",
    "Failed, a record named 'OTHER|x' does not begin with 'GPAS_SP3|'.",
    "Failed, the file is empty.",
    "Failed, 2 records in one file (multifasta).",
    "Failed, letters that are no IUPAC nucleotide code: 'J', 'Z'.",
)
MESSAGES = (
    "409 Client Error: a record with number '{}' exists",
    "400 Client Error: the required field 'objectNumber' is empty",
    "Term 'Oak, carved' is in no authority of the type 'concept'",
    "504 Gateway Timeout: the services layer did not answer within 30 s",
)
CHUNK_SIZE = 5000


def fill(*, attempts: int, feeds: int, records: int, days: int = 7, seed: int = 1) -> None:
    """Writes it all to the default database, up to this moment."""
    from django.utils import timezone

    chance, now = random.Random(seed), timezone.now()
    made = _feeds(feeds, now)
    _loads(made, now, days, chance)
    _attempts(made, attempts, now, days, chance)
    _waiting(made, now, chance)
    _readings(made, now, days, chance)
    _twins(made, now)
    _batches(records, now, chance)


def _feeds(number: int, now: datetime) -> list[Feed]:
    from loader.models import Feed, Server

    made = []
    for place in range(number):
        species, where = SPECIES[place % len(SPECIES)], PLACES[place // len(SPECIES) % len(PLACES)]
        name = f"{species}-{where}" + (f"-{place // 50}" if place >= len(SPECIES) * len(PLACES) else "")
        url = f"https://fn4.{where}.example.org/{name}"
        server = Server.objects.create(identity=url, url=url, number_in_server=20_000, counted_at=now)
        made.append(
            Feed.objects.create(
                name=name,
                server=server,
                store_url=f"{STORES[place % 2]}/{name}",
                store_digest=name[:32],
                scheduled=True,
                checked_at=now - timedelta(seconds=20 + place),
            )
        )
    _problems(made, now)
    return made


def _problems(feeds: list[Feed], now: datetime) -> None:
    from loader.models import Feed, Server

    if len(feeds) > 1:
        why = "HTTP 413 Request Entity Too Large: raise the proxy's client_max_body_size"
        Feed.objects.filter(pk=feeds[1].pk).update(paused_at=now - timedelta(hours=5), pause_reason=why)
    if len(feeds) > 2:
        since, reason = now - timedelta(minutes=42), "Connection refused"
        Server.objects.filter(pk=feeds[2].server_id).update(circuit_open_since=since, circuit_reason=reason)

    # One server is being loaded: a process of another host holds its lease for an hour.
    lease = {"lease_token": "t", "lease_host": "loader-1", "lease_pid": 4711, "lease_heartbeat": now}
    Server.objects.filter(pk=feeds[0].server_id).update(**lease, lease_expires=now + timedelta(hours=1))


def _loads(feeds: list[Feed], now: datetime, days: int, chance: random.Random) -> None:
    from loader.models import BatchLoad

    def rows() -> Iterator[BatchLoad]:
        for back in range(days * 24 * 4, 0, -1):
            when = now - timedelta(minutes=15 * back)
            for place, feed in enumerate(feeds):
                yield BatchLoad(
                    host_name=f"loader-{place % 2 + 1}",
                    findneighbour_server_url=feed.server.url,
                    check_time=when + timedelta(seconds=place),
                    batch_size=round(max(0.0, 12 * _rhythm(when) + chance.gauss(0, 3))),
                    number_in_server=20_000 - back * 7 if back % 4 == 0 else None,
                    feed=feed,
                    listed=20_000 - back * 7,
                    ignored=3,
                    found=round(8 * _rhythm(when)),
                    finished=when + timedelta(minutes=2),
                )

    _write(rows())


def _attempts(feeds: list[Feed], number: int, now: datetime, days: int, chance: random.Random) -> None:
    """The times follow the working day; each sample has its own object, and some are tried twice."""
    from loader.models import BucketObject, LoadAttempt

    moments = _moments(number, now, days, chance)
    iterator, count = iter(moments), 0
    while page := list(islice(iterator, CHUNK_SIZE)):
        made: list[tuple[BucketObject, LoadAttempt]] = []
        for when in page:
            count += 1
            made.append(_attempt(feeds[chance.randrange(len(feeds))], when, count, number, chance))
        objects = BucketObject.objects.bulk_create([one for one, _ in made], CHUNK_SIZE)
        for (_, attempt), stored in zip(made, objects, strict=True):
            attempt.bucket_object = stored
        LoadAttempt.objects.bulk_create([attempt for _, attempt in made], CHUNK_SIZE)


def _attempt(
    feed: Feed, when: datetime, count: int, of: int, chance: random.Random
) -> tuple[BucketObject, LoadAttempt]:
    from loader.choices import AttemptOutcome, LoadResult, ObjectState
    from loader.models import BucketObject, LoadAttempt

    sample = f"{feed.name.split('-')[-1][:3].upper()}-{when:%y%j}-{count:07}"
    luck, read, insert = chance.random(), chance.uniform(0.02, 0.2), chance.lognormvariate(-2.8, 0.5)
    sent = when + timedelta(seconds=read + 0.01)
    attempt = LoadAttempt(
        host_name=f"loader-{feed.pk % 2 + 1}",
        findneighbour_server_url=feed.server.url,
        parse_status="Success",
        batch_start_time=when - timedelta(seconds=chance.uniform(1, 300)),
        batch_size=40,
        batch_sample_number=count % 40 + 1,
        seqid=sample,
        file_name=f"{sample}.fasta",
        len_seq=29_903,
        first_128_chars=f">GPAS_SP3|{sample}",
        bucket_read_start_time=when,
        bucket_read_end_time=when + timedelta(seconds=read),
        fn4id=sample,
        insert_start_time=sent,
        insert_end_time=sent + timedelta(seconds=insert),
        insert_status_code=200,
        completed=1,
        feed=feed,
        server=feed.server,
        outcome=AttemptOutcome.INSERTED,
        lock_waits=0,
    )
    one = BucketObject(
        feed=feed,
        name=attempt.file_name or "",
        version=f"v{count}",
        etag=f"e{count}",
        size=30_410,
        created=when - timedelta(minutes=chance.uniform(1, 12)),
        first_seen=when - timedelta(seconds=30),
        seqid=sample,
        state=ObjectState.LOADED,
        guid=sample,
        result=LoadResult.INSERTED,
        done_at=attempt.insert_end_time,
        tries=0,
    )
    if luck > 0.994:
        reason = REASONS[count % len(REASONS)]
        attempt.parse_status, attempt.outcome, attempt.message = (
            reason,
            AttemptOutcome.REJECTED,
            reason.removeprefix("Failed, "),
        )
        attempt.insert_start_time = attempt.insert_end_time = attempt.insert_status_code = attempt.fn4id = None
        one.state, one.result, one.guid, one.reason = ObjectState.REJECTED, "", "", attempt.message
        one.acknowledged_at = None if count > of * 0.8 else when + timedelta(hours=3)
    elif luck > 0.985:
        attempt.outcome, attempt.insert_status_code, attempt.completed = AttemptOutcome.FAILED, 500, 0
        attempt.message = "500: the server's database is unavailable"
    elif luck > 0.97:
        attempt.outcome, attempt.insert_status_code, one.result = AttemptOutcome.PRESENT, 201, LoadResult.SAME
    elif luck > 0.955:
        one.result = LoadResult.INVALID
    return one, attempt


def _waiting(feeds: list[Feed], now: datetime, chance: random.Random) -> None:
    from loader.choices import ObjectState
    from loader.models import BucketObject

    def rows() -> Iterator[BucketObject]:
        for place, feed in enumerate(feeds):
            late = feed.pk in {one.pk for one in feeds[1:3]}
            for number in range(140 if late else place % 4):
                created = now - timedelta(minutes=chance.uniform(2, 290 if late else 6))
                sample = f"NEW-{place:02}-{number:05}"
                yield BucketObject(
                    feed=feed,
                    name=f"{sample}.fasta",
                    version=f"w{place}-{number}",
                    etag="e",
                    size=30_410,
                    created=created,
                    first_seen=created + timedelta(seconds=40),
                    seqid=sample,
                    state=ObjectState.WAITING,
                )

    _write(rows())


def _readings(feeds: list[Feed], now: datetime, days: int, chance: random.Random) -> None:
    """What each server said about itself, every ten minutes."""
    from loader.models import Server, ServerReading

    def rows() -> Iterator[ServerReading]:
        for place, feed in enumerate(feeds):
            for back in range(days * 24 * 6, 0, -1):
                samples = 20_000 - back
                yield ServerReading(
                    server=feed.server,
                    at=now - timedelta(minutes=10 * back),
                    samples=samples,
                    engine_samples=samples,
                    invalid=300 + place * 40 - back // 20,
                    memory_used=round((9.5 + place - back / 900 + chance.uniform(0, 0.2)) * 1e9),
                    memory_total=34_000_000_000,
                )

    _write(rows())
    facts = {"name": "findNeighbour4", "version": "catwalk 2.4", "reference_length": 29_903, "max_unknown": 5_980}
    Server.objects.filter(pk__in=[feed.server_id for feed in feeds]).update(
        **facts, invalid_in_server=300, invalid_asked_at_number=20_000, asked_at=now
    )


def _twins(feeds: list[Feed], now: datetime) -> None:
    """The nightly comparison of two servers of which one was away for a while."""
    from loader.choices import TwinKind
    from loader.models import TwinComparison, TwinFinding

    if len(feeds) <= len(SPECIES):
        return
    first, second = feeds[0].server, feeds[len(SPECIES)].server
    kinds = [TwinKind.ONLY_FIRST] * 23 + [TwinKind.VALIDITY] * 2 + [TwinKind.QUEUED] * 5
    comparison = TwinComparison.objects.create(
        first=first,
        second=second,
        at=now - timedelta(hours=7),
        summary="23 samples only in the first, 2 with too many N in one, 5 waiting",
        in_first=20_000,
        in_second=19_972,
        only_first=kinds.count(TwinKind.ONLY_FIRST),
        validity_differs=kinds.count(TwinKind.VALIDITY),
        queued=kinds.count(TwinKind.QUEUED),
    )
    _write(
        TwinFinding(comparison=comparison, kind=kind, guid=f"OXF-26300-{number:07}")
        for number, kind in enumerate(kinds, 3100)
    )


def _batches(records: int, now: datetime, chance: random.Random) -> None:
    from batches.choices import BatchStatus
    from batches.models import Batch

    number = max(4, min(24, records // 250))
    for place in range(number):
        size, added = records // number, now - timedelta(hours=7 * (number - place))
        if place >= number - 2:
            added = now - timedelta(minutes=(24, 5)[place - number + 2])
        failing = 0 if place % 3 else min(size, 3 + place)
        batch = Batch(
            bid=f"b{place:03}",
            rectype=RECTYPES[place % len(RECTYPES)],
            action=("CREATE", "UPDATE", "CREATE", "DELETE")[place % 4],
            folder=f"/data/migration/b{place:03}",
            record_count=size,
            mapped_at=added,
            map_oks=size,
            map_errs=0,
            added_at=added,
            added_by="morgan",
            host="workstation",
        )
        if place < number - 1:
            uploaded = added + timedelta(minutes=4)
            batch.status, batch.store_url = BatchStatus.UPLOADED, "s3://fast-import-bucket"
            batch.upload_started = batch.ingest_start_time = added + timedelta(minutes=2)
            batch.upload_finished = batch.uploaded_at = uploaded
            batch.upload_oks, batch.upload_errs = size, 0
        if place < number - 2:
            ended = added + timedelta(minutes=6 + size / 60)
            batch.status, batch.ingest_done_at, batch.ingest_complete_time = BatchStatus.INGESTED, ended, ended
            batch.ingest_duration = ended - batch.ingest_start_time if batch.ingest_start_time else None
            batch.ingest_errs, batch.ingest_oks = failing, size - failing
        batch.save()
        _upload(batch, size)
        _records(batch, size, failing)
        if batch.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED):
            _checks(batch, size, failing, chance)
    _correction(Batch.objects.get(bid="b000"), Batch.objects.get(bid="b001"))


def _correction(parent: Batch, child: Batch) -> None:
    """All that failed but one was ingested in the next batch."""
    from batches.corrections.links import link_corrections

    child.rectype = parent.rectype
    child.save(update_fields=["rectype"])
    link_corrections(child, [parent])
    failed = parent.records.filter(ingest_outcome="failure").order_by("-row").values_list("identifier", flat=True)
    for row, identifier in enumerate(failed[1:], 1):
        child.records.filter(row=row).update(identifier=identifier, ingest_outcome="success")


def _upload(batch: Batch, size: int) -> None:
    from batches.choices import StepKind
    from batches.models import BatchStep

    if batch.upload_started:
        BatchStep.objects.create(
            batch=batch,
            kind=StepKind.UPLOAD,
            began_at=batch.upload_started,
            ended_at=batch.upload_finished,
            oks=size,
            errs=0,
            store_url=batch.store_url,
            who="morgan",
            host="workstation",
        )


def _records(batch: Batch, size: int, failing: int) -> None:
    from batches.choices import BatchStatus, IngestOutcome, UploadOutcome
    from batches.keys import encode
    from batches.models import BatchRecord

    uploaded = batch.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED)

    def rows() -> Iterator[BatchRecord]:
        for row in range(1, size + 1):
            failed = batch.status == BatchStatus.INGESTED and row % max(1, size // max(1, failing)) == 0 and failing
            identifier = f"{batch.bid}.2026.{row}"
            yield BatchRecord(
                batch=batch,
                row=row,
                key=encode(batch.bid, f"/{batch.rectype}s", identifier, batch.action),
                key_digest=f"{batch.bid}-{row}",
                identifier=identifier,
                action=batch.action,
                path=f"/{batch.rectype}s",
                file=f"{identifier}.xml",
                size=2100,
                map_outcome="success",
                upload_outcome=UploadOutcome.SUCCESS if uploaded else UploadOutcome.PENDING,
                ingest_outcome=None
                if batch.status != BatchStatus.INGESTED
                else (IngestOutcome.FAILURE if failed else IngestOutcome.SUCCESS),
                ingest_message=MESSAGES[row % 7 % len(MESSAGES)].format(identifier) if failed else None,
                tries=3 if failed else 1,
            )

    _write(rows())


def _checks(batch: Batch, size: int, failing: int, chance: random.Random) -> None:
    from batches.choices import Verdict
    from batches.ingest.course import update_courses
    from batches.models import IngestCheck, IngestCount

    over = batch.ingest_done_at is not None
    start = batch.ingest_start_time or batch.added_at
    for number in range(1, 9):
        share = 1 - number / 8 if over else 1 - number / 14
        left = failing + round((size - failing) * max(0.0, share) ** chance.uniform(0.9, 1.1))
        when = start + timedelta(minutes=number * (2 if over else 2.6))
        last = over and number == 8
        check = IngestCheck.objects.create(
            batch=batch,
            started_at=when - timedelta(seconds=4),
            finished_at=when,
            store="s3://fast-import-bucket",
            sleep_seconds=1.5,
            checks=1,
            rechecks=1,
            verdict=(Verdict.COMPLETE_WITH_ERRORS if failing else Verdict.COMPLETE) if last else Verdict.IN_PROGRESS,
            remaining=left,
            ingest_oks=size - failing if last else None,
            asked_by="job" if number % 3 else "morgan",
            host="workstation",
        )
        IngestCount.objects.create(
            check_run=check, number=1, counted_at=when, remaining=left, digest=f"d{left}", foreign=0, invalid=0
        )
    if over:
        _follow(check, chance)
        update_courses(batch)


def _follow(check: IngestCheck, chance: random.Random) -> None:
    """Counts that found no change, every minute after the end."""
    from batches.models import IngestCount

    IngestCount.objects.bulk_create(
        IngestCount(
            check_run=check,
            number=number,
            counted_at=check.finished_at + timedelta(minutes=number - 1, seconds=chance.uniform(0, 2)),
            remaining=check.remaining,
            digest=f"d{check.remaining}",
            foreign=0,
            invalid=0,
        )
        for number in range(2, 33)
    )


def _moments(number: int, now: datetime, days: int, chance: random.Random) -> Iterator[datetime]:
    """That number of times in ascending order, more by day than by night."""
    span = timedelta(days=days)
    weights = [_rhythm(now - span + timedelta(hours=hour)) for hour in range(days * 24)]
    total, left = sum(weights), number
    for hour, weight in enumerate(weights):
        share = left if hour == len(weights) - 1 else min(left, round(number * weight / total))
        left -= share
        begin = now - span + timedelta(hours=hour)
        yield from sorted(begin + timedelta(seconds=chance.uniform(0, 3540)) for _ in range(share))


def _rhythm(when: datetime) -> float:
    """How busy it is: most at two in the afternoon, least at two at night, half on weekends."""
    by_day = 0.55 + 0.45 * math.cos((when.hour + when.minute / 60 - 14) / 24 * 2 * math.pi)
    return by_day * (0.5 if when.weekday() >= 5 else 1)


def _write(rows: Iterable[Any]) -> None:
    iterator = iter(rows)
    while page := list(islice(iterator, CHUNK_SIZE)):
        type(page[0]).objects.bulk_create(page, CHUNK_SIZE)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=4000)
    parser.add_argument("--feeds", type=int, default=6)
    parser.add_argument("--records", type=int, default=6000)
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
    import django

    django.setup()
    fill(attempts=options.attempts, feeds=options.feeds, records=options.records, days=options.days)


if __name__ == "__main__":
    main()
