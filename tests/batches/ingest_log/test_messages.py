"""Why records failed: messages of the log on the right records, from a stand-in of CloudWatch Logs that pages and fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from batches.choices import BatchStatus, IngestOutcome
from batches.ingest.finalize import finalize
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import check_or_heal, count_once
from batches.ingest_log.cloudwatch import LogReadError
from batches.ingest_log.messages import read_messages
from batches.keys import encode
from batches.models import BatchRecord, IngestCheck
from core.exceptions import OperationRefused
from sandbox.lambdalog import line, lines_of
from tests.support.failing_database import each_failing_write
from tests.support.lambda_logs import build

if TYPE_CHECKING:
    from pytest_django import Settings

    from sandbox.logs import LogsSandbox
    from tests.support.folder_batch import FolderBatch, Seed

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = "c3579727-5004-597f-9921-ca8003e72416"


def millis(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def ended(made: FolderBatch, *failed: str) -> FolderBatch:
    """The batch with its result: only these are left."""
    sent = [one for one in made.outcomes() if one]
    made.ingest(*(one for one in sent if one not in failed))
    for _ in range(3):
        count_once(made.fresh(), CheckOptions(0, 1, 1))
    assert made.fresh().status == BatchStatus.INGESTED
    made.batch = made.fresh()
    return made


def said(made: FolderBatch, *events: tuple[str, str], ago: int = 60, stream: str = "s1") -> list[tuple[str, int, str]]:
    """Events of one stream and request: an identifier, and an exception or nothing."""
    at = millis(timezone.now() - timedelta(seconds=ago))
    found = []
    for identifier, text in events:
        lines = list(lines_of(made.key(identifier), at, REQUEST)) if identifier else []
        lines += [line("ERROR", at, REQUEST, text)] if text else []
        found += [(stream, at, one) for one in lines]
        at += 10
    return found


def test_30000_records_with_300_failures_in_40_streams_and_not_one_message_on_the_wrong_record(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    names = [f"A.{number:05}" for number in range(30_000)]
    # One here and there, and runs that fill whole requests: 25 in a row are longer than any request.
    failed = {*names[::150], *names[7001:7026], *names[20_001:20_076]}
    assert len(failed) == 300
    made = folder_batch("plc", names, in_bucket=False)
    keys = {made.key(one): one for one in names}
    start = made.batch.ingest_start_time
    assert start
    log = build(
        list(keys),
        {made.key(one) for one in failed},
        start=millis(start),
        others=[encode("plcx", "/p", one, "CREATE") for one in names[:500]],
    )
    assert {stream for stream, _, _ in log.events} == {f"2026/11/24/[$LATEST]{number:032x}" for number in range(40)}
    logs.put(log_group, log.events)
    logs.set(empty_every=5)
    made.result(failed, done=start + timedelta(minutes=10))
    found = read_messages(made.fresh())
    assert (found.matched, found.candidates, found.named, found.unmatched) == (300, 0, 30_000, 0)
    records = BatchRecord.objects.filter(batch=made.batch).values_list("key", "ingest_message", "tries")
    told = {key: (message, tries) for key, message, tries in records if key}
    wrong = [key for key, said_of_it in told.items() if said_of_it != (log.messages.get(key), log.tries[key])]
    assert (len(told), wrong) == (30_000, [])
    assert not BatchRecord.objects.exclude(ingest_candidate=None).exists()
    complete = made.fresh().ingest_complete_time
    assert complete
    assert complete == datetime.fromtimestamp(log.last / 1000, UTC), "the last event that names the batch"


def test_messages_tries_and_the_end_of_the_ingest_come_from_the_log(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b", "c"]), "b", "c")
    logs.put(log_group, said(made, ("a", ""), ("b", "Exception: 409 first"), ("c", "400 once")))
    again = said(made, ("b", "Exception: 409 second"), ("c", "Exception: NoSuchKey"), ago=30, stream="s2")
    logs.put(log_group, again)
    done = finalize(made.fresh())
    assert done.log_summary
    assert (done.log_summary.matched, done.log_problem) == (2, "")
    assert (made.record("b").ingest_message, made.record("b").tries) == ("409 second", 2)
    assert (made.record("c").ingest_message, made.record("c").tries) == ("400 once", 1)
    assert (made.record("a").ingest_message, made.record("a").tries) == (None, 1)
    batch = made.fresh()
    assert batch.ingest_complete_time == datetime.fromtimestamp(max(at for _, at, _ in again) / 1000, UTC)
    assert batch.ingest_start_time
    assert batch.ingest_duration == batch.ingest_complete_time - batch.ingest_start_time
    assert batch.messages_read_at
    assert done.report
    assert done.report.read_text() == (
        "identifier,cmt_upload_status,cmt_upload_message,CMT_ingest_status,CMT_ingest_message\n"
        "a,success,,success,\nb,success,,failure,409 second\nc,success,,failure,400 once\n"
    )


def test_what_can_not_be_told_apart_is_a_candidate_and_no_fact(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b", "c"]), "a", "b", "c")
    logs.put(log_group, said(made, ("", "Exception: at the start"), ("a", "")))
    logs.put(log_group, said(made, ("b", "Exception: 409"), ago=60, stream="s2"))
    logs.put(log_group, said(made, ("b", ""), ago=30, stream="s2"))
    done = finalize(made.fresh())
    assert done.log_summary
    assert (done.log_summary.matched, done.log_summary.candidates, done.log_summary.unmatched) == (0, 2, 1)
    assert (made.record("a").ingest_message, made.record("a").ingest_candidate) == (None, "at the start")
    assert (made.record("b").ingest_message, made.record("b").ingest_candidate) == (None, "409"), (
        "its last try said nothing"
    )
    assert (made.record("c").ingest_message, made.record("c").ingest_candidate) == (None, None)
    assert done.report
    assert "a,success,,failure,Perhaps: at the start\n" in done.report.read_text()


@pytest.mark.parametrize(
    ("fault", "said_of_it"),
    [
        ({"kind": "status", "status": 400, "code": "AccessDeniedException"}, "permission logs:FilterLogEvents"),
        ({"kind": "status", "status": 400, "code": "ThrottlingException"}, "ThrottlingException"),
        ({"kind": "status", "status": 500, "code": "InternalFailure", "after": 1}, "InternalFailure"),
        ({"kind": "reset", "after": 1}, "onnection"),
        ({"kind": "page"}, "log group"),
    ],
)
def test_a_log_call_that_fails_leaves_the_result_says_so_and_can_be_repeated_alone(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, fault: dict[str, object], said_of_it: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "b")
    logs.put(log_group, said(made, ("a", ""), ("b", "Exception: 409")))
    logs.set(largest_page=1)
    before = made.fresh()
    logs.faults(fault)
    done = finalize(before)
    assert said_of_it in done.log_problem
    assert "manage.py ingstat plc --messages" in done.log_problem
    after = made.fresh()
    assert after.messages_problem
    assert (after.status, after.ingest_errs, after.ingest_oks) == (BatchStatus.INGESTED, 1, 1)
    assert (after.ingest_complete_time, after.messages_read_at) == (before.ingest_complete_time, None)
    assert made.record("b").ingest_message is None
    logs.clear_faults()
    read_messages(made.fresh())
    assert made.record("b").ingest_message == "409"
    assert made.fresh().messages_problem is None


def test_a_log_group_that_is_not_there_or_not_set_is_said(
    folder_batch: Seed, logs: LogsSandbox, settings: Settings
) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    settings.INGEST_LOG_GROUP = "/aws/lambda/none"
    with pytest.raises(LogReadError, match="the log group in INGEST_LOG_GROUP does not exist"):
        read_messages(made.fresh())
    settings.INGEST_LOG_GROUP = ""
    with pytest.raises(OperationRefused, match="INGEST_LOG_GROUP is not set"):
        read_messages(made.fresh())


def test_only_the_time_of_the_batch_is_read(folder_batch: Seed, logs: LogsSandbox, log_group: str) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    logs.put(log_group, said(made, ("a", "Exception: of another life"), ago=24 * 3600))
    logs.put(log_group, said(made, ("a", "Exception: of the future"), ago=-3600, stream="s3"))
    found = read_messages(made.fresh())
    assert found.named == 0
    assert made.record("a").ingest_message is None
    assert made.fresh().ingest_complete_time == made.batch.ingest_complete_time, "counts say it where the log does not"


def test_a_second_reading_changes_nothing_and_what_the_log_forgets_stays_known(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "b")
    logs.put(log_group, said(made, ("a", ""), ("b", "Exception: 409")))
    for _ in range(2):
        read_messages(made.fresh())
        assert (made.record("b").ingest_message, made.record("b").tries) == ("409", 1)
    logs.call("POST", "groups", group=log_group)  # empty again
    read_messages(made.fresh())
    assert (made.record("b").ingest_message, made.record("b").tries) == ("409", 1)


def test_a_reading_that_dies_while_it_writes_leaves_nothing_half_done(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "a", "b")
    logs.put(log_group, said(made, ("a", "Exception: 1"), ("b", "Exception: 2")))
    failed = []
    for statement in each_failing_write(lambda: finalize(made.fresh())):
        failed.append(statement)
        record = made.record("a")
        assert (record.tries, record.ingest_message, made.fresh().messages_read_at) == (None, None, None), statement
        assert made.fresh().ingest_complete_time == made.batch.ingest_complete_time, statement
    assert len(failed) > 2
    assert made.fresh().messages_read_at, "the next run reads it, for it was never read"
    assert made.record("a").ingest_message == "1"


def test_a_log_that_is_too_long_for_a_job_is_left_to_the_command(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, settings: Settings
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "a", "b")
    logs.put(log_group, said(made, ("a", "Exception: 1"), ("b", "Exception: 2")))
    settings.JOB_TIMEOUT = 0
    followed = check_or_heal(made.fresh(), CheckOptions(0))
    assert followed
    assert "is longer than a background job may read" in followed.log_problem
    assert "manage.py ingstat plc --messages" in followed.log_problem
    assert followed.report, "the result stands"
    assert (made.fresh().messages_read_at, made.record("a").ingest_message) == (None, None)
    settings.JOB_TIMEOUT = 1800
    followed = check_or_heal(made.fresh(), CheckOptions(0))
    assert followed
    assert followed.log_summary is None, "no job begins it again"
    assert finalize(made.fresh()).log_summary
    assert (made.record("a").ingest_message, made.fresh().messages_problem) == ("1", None)
    made.ingest("a")
    followed = check_or_heal(made.fresh(), CheckOptions(0))
    assert followed
    assert followed.log_summary, "a job reads it again when something healed"


def test_a_result_that_is_taken_back_meanwhile_gets_no_messages(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    logs.put(log_group, said(made, ("a", "Exception: 1")))
    stale = made.fresh()
    stale.ingest_done_at = timezone.now()
    with pytest.raises(OperationRefused, match="undone"):
        read_messages(stale)
    assert made.record("a").ingest_message is None
    assert IngestCheck.objects.count() == 1
    assert made.record("a").ingest_outcome == IngestOutcome.FAILURE
