"""Why records failed: messages of the log on the right records, from a stand-in of CloudWatch Logs that pages and fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from batches.choices import BatchStatus, IngestOutcome
from batches.concerns import batch_concerns
from batches.ingest.finalize import finalize, finalize_lines
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import check_or_heal, count_once
from batches.ingest_log import cloudwatch
from batches.ingest_log.cloudwatch import LogReadError
from batches.ingest_log.messages import read_messages
from batches.keys import encode
from batches.models import Batch, BatchRecord, IngestCheck
from batches.reports.failure_causes import failure_causes
from core.exceptions import OperationRefused
from sandbox.lambdalog import line, lines_of, spell_exception
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


def test_9000_records_with_160_failures_in_40_streams_and_not_one_message_on_the_wrong_record(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    names = [f"A.{number:05}" for number in range(9_000)]
    # One here and there, and runs that fill whole requests: 25 in a row are longer than any request.
    failed = {*names[::150], *names[2001:2026], *names[6_001:6_076]}
    assert len(failed) == 160
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
    assert (found.matched, found.candidates, found.named, found.unmatched) == (160, 0, 9_000, 0)
    records = BatchRecord.objects.filter(batch=made.batch).values_list("key", "ingest_message", "tries")
    told = {key: (message, tries) for key, message, tries in records if key}
    wrong = [key for key, said_of_it in told.items() if said_of_it != (log.messages.get(key), log.tries[key])]
    assert (len(told), wrong) == (9_000, [])
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
    for statement in each_failing_write(lambda: read_messages(made.fresh())):
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


@pytest.mark.parametrize(
    ("spelling", "trace"), [("json", "one event"), ("powertools", "one event"), ("prefixed", "several events")]
)
def test_other_spellings_of_the_log_give_messages_and_keep_the_trace(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, spelling: str, trace: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "b")
    at = millis(timezone.now() - timedelta(seconds=60))
    lines = [*lines_of(made.key("a"), at, REQUEST, spelling), *lines_of(made.key("b"), at, REQUEST, spelling)]
    lines += spell_exception(spelling, at, REQUEST, "HTTPError: 409 Client Error", trace)
    logs.put(log_group, [("s1", at, one) for one in lines])
    found = read_messages(made.fresh())
    assert (found.matched, found.missing, found.not_understood, found.problem) == (1, 0, 0, "")
    record = made.record("b")
    assert record.ingest_message == "HTTPError: 409 Client Error"
    assert record.ingest_detail
    assert 'File "/var/task/ingest.py", line 7' in record.ingest_detail
    assert made.fresh().messages_problem is None


def test_a_log_that_is_not_understood_is_told_as_such_everywhere(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "a", "b")
    at = millis(timezone.now() - timedelta(seconds=60))
    logs.put(log_group, [("s1", at, f"<14>1 \x1b[31m{n} {made.key('a')}") for n in range(1500)])
    done = finalize(made.fresh())
    told = (
        "The ingest log was read, but 2 failed records have no message: 1,500 of 1,500 events not understood, such as"
        f" '<14>1  [31m0 {made.key('a')}'; none names an object of the batch"
    )
    assert (done.log_problem, done.log_note) == ("", told)
    assert f"  {told}." in list(finalize_lines(done))
    assert made.fresh().messages_problem == told
    assert made.fresh().messages_read_at
    (concern,) = [one for one in batch_concerns() if one.kind == "log_unread"]
    assert concern.what == "Failures of batch plc have no messages: the ingest log was not understood"
    assert concern.why == told
    assert [one.message for one in failure_causes(made.fresh())] == ["unknown: the ingest log was not understood"]
    logs.put(log_group, said(made, ("a", "Exception: 409"), ("b", "Exception: 409")))
    read_messages(made.fresh())
    assert made.fresh().messages_problem is None
    assert not [one for one in batch_concerns() if one.kind == "log_unread"]


def test_lines_of_no_known_spelling_are_no_problem_while_every_failure_has_its_message(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = ended(folder_batch("plc", ["a", "b"]), "b")
    logs.put(log_group, [*said(made, ("a", ""), ("b", "Exception: 409")), ("s1", millis(timezone.now()), "odd")])
    found = read_messages(made.fresh())
    assert (found.not_understood, found.problem) == (1, "")
    logs.call("POST", "groups", group=log_group)
    made = ended(folder_batch("mat", ["c", "d"]), "d")
    logs.put(log_group, [*said(made, ("c", ""), ("d", "")), ("s1", millis(timezone.now()), "odd")])
    assert read_messages(made.fresh()).problem == (
        "The ingest log was read, but 1 failed record has no message: 1 of 7 events not understood, such as 'odd'"
    )


def test_a_log_without_events_of_the_batch_is_told(folder_batch: Seed, logs: LogsSandbox, log_group: str) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    assert read_messages(made.fresh()).problem == (
        "The ingest log was read, but 1 failed record has no message: it has no events of the time of the batch"
    )
    logs.put(log_group, [("s1", millis(timezone.now()), line("INFO", 0, REQUEST, "Object key: other"))])
    assert read_messages(made.fresh()).problem == (
        "The ingest log was read, but 1 failed record has no message: 1 event read; none names an object of the batch"
    )


@pytest.mark.parametrize(
    "pages", [{"tokens": "same"}, {"mixed": 1}, {"empty_every": 2}, {"mixed": 1, "tokens": "same"}]
)
def test_a_service_whose_pages_are_odd_is_read_all_the_same(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, pages: dict[str, object]
) -> None:
    names = [f"n{number:03}" for number in range(60)]
    made = ended(folder_batch("plc", names), *names)
    start = made.batch.ingest_start_time
    assert start
    log = build([made.key(one) for one in names], {made.key(one) for one in names}, start=millis(start), streams=3)
    logs.put(log_group, log.events)
    logs.set(largest_page=7, **pages)
    Batch.objects.update(ingest_done_at=start + timedelta(minutes=10))
    assert read_messages(made.fresh()).matched == 60
    records = BatchRecord.objects.values_list("key", "ingest_message", "tries")
    assert {key: (message, tries) for key, message, tries in records} == {
        key: (log.messages[key], log.tries[key]) for key in log.messages
    }


@pytest.mark.parametrize(
    ("tokens", "told"), [("round", "the same pages again and again"), ("endless", "no new event for 0 s, and no end")]
)
def test_a_service_that_comes_to_no_end_is_told_in_time(
    folder_batch: Seed,
    logs: LogsSandbox,
    log_group: str,
    monkeypatch: pytest.MonkeyPatch,
    tokens: str,
    told: str,
) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    logs.put(log_group, said(made, ("a", "Exception: 409")))
    logs.set(tokens=tokens, largest_page=2)
    monkeypatch.setattr(cloudwatch, "MAX_IDLE_SECONDS", 0 if tokens == "endless" else 600)
    with pytest.raises(LogReadError, match=told):
        read_messages(made.fresh())
    assert told in (made.fresh().messages_problem or "")
    assert made.record("a").ingest_message is None, "no message from a part of the log"


def test_aws_region_holds_for_the_log_and_credentials_that_fail_are_one_line(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    logs.put(log_group, said(made, ("a", "Exception: 409")))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    read_messages(made.fresh())
    assert made.record("a").ingest_message == "409"
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(LogReadError, match="scoped to a valid region"):
        read_messages(made.fresh())
    monkeypatch.setenv("AWS_REGION", logs.environ()["AWS_REGION"])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(
        LogReadError, match=r"log group \S+: The config profile \(nobody\) could not be found; check AWS_"
    ):
        read_messages(made.fresh())


@pytest.mark.parametrize("known", ["start", "uploaded", "complete", "day"])
def test_of_an_imported_batch_the_log_is_read_around_the_times_that_are_known(
    folder_batch: Seed, logs: LogsSandbox, log_group: str, known: str
) -> None:
    made = ended(folder_batch("plc", ["a"]), "a")
    start = made.batch.ingest_start_time
    assert start
    logs.put(log_group, said(made, ("a", "Exception: 409")))
    unknown = dict.fromkeys(("ingest_start_time", "uploaded_at", "ingest_done_at", "ingest_complete_time"))
    midnight = timezone.localtime(start).replace(hour=0, minute=0, second=0, microsecond=0)
    times = {
        "start": {"ingest_start_time": start},
        "uploaded": {"uploaded_at": start},
        "complete": {"ingest_complete_time": start + timedelta(minutes=5)},
        "day": {"ingest_done_at": midnight},
    }
    Batch.objects.update(**unknown | times[known])
    made.batch.checks.all().delete()
    read_messages(made.fresh())
    assert made.record("a").ingest_message == "409"
