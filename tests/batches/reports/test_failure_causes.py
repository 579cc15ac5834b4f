"""Failures that say the same are one cause, with a number and an example."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from batches.choices import UploadOutcome
from batches.models import BatchRecord
from batches.reports.failure_causes import FailureCause, failure_causes, message_pattern

if TYPE_CHECKING:
    from tests.support.folder_batch import Seed

pytest_plugins = ["tests.support.folder_batch"]

CONFLICT = "409 Client Error:  for url: https://core.example.org/cspace-services/collectionobjects/{}"


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (CONFLICT.format("ec8edd0a-6c13-40e4-87fc-8eb0291535c1"), "409 Client Error: for url: <url>"),
        ("no such term 'Pëtr' in\n authority", "no such term '…' in authority"),
        ("record ec8edd0a-6c13-40e4-87fc-8eb0291535c1 is locked", "record <id> is locked"),
        ("timed out after 900.12 seconds", "timed out after <n> seconds"),
        ("500 Server Error", "500 Server Error"),
        ("404 Client Error", "404 Client Error"),
        ("object 1234567 of 12", "object <n> of 12"),
        (None, "no message"),
    ],
)
def test_what_differs_from_record_to_record_is_left_out(message: str | None, cause: str) -> None:
    assert message_pattern(message) == cause


KEY = "cGxjfC9jb2xsZWN0aW9ub2JqZWN0c3xBNjcuMS4{}8Q1JFQVRF"
REFUSALS = [
    "s3://fast-import, {key}: 403 AccessDenied: Access Denied (Request ID: {id}, Host ID: {host}=)",
    "s3://fast-import: 403 AccessDenied: User is not authorized to perform s3:PutObject on {key}; request id: {id}",
    "s3://fast-import/below/this, {key}: 400 InvalidRequest: Content-MD5 is required. RequestId={id}",
    "s3://fast-import, {key}: 400 EntityTooLarge: {size} exceeds the maximum allowed size 5368709120",
    "s3://fast-import, {key}: 400 KeyTooLongError: Your key is too long: '{key}'",
    "oci://b@ns, {key}: 404 BucketNotFound: no bucket (opc-request-id {id}/{host}/{id})",
    "file:///data/the bucket, {key}: No space left on device",
    "s3://b, {key}: 403 RequestTimeTooSkewed: server time 2026-11-25T14:{minute}:09Z, yours is 25 Nov 2026 14:{minute}:00",
    "file {key!r}: Permission denied",
    "the key has {size} bytes, at most 1024 are allowed: shorten the identifier or the path",
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_a_store_refuses_is_one_cause_whatever_it_says_of_object_and_request(refusal: str) -> None:
    chance = random.Random(1)
    messages = {
        refusal.format(
            key=KEY.format(number),
            id="".join(chance.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=15)) + "7",
            host="".join(chance.choices("abcdefghijkABCDEFGHIJK0123456789+/", k=75)) + "8",
            size=10_000 + number * 37,
            minute=10 + number,
        )
        for number in range(32)
    }
    assert len(messages) == 32
    (cause,) = {message_pattern(message) for message in messages}
    assert not any(part in cause for part in ("cGxj", "(", ";"))
    if refusal.startswith(("s3", "oci")):
        assert cause.startswith(refusal.partition(",")[0].partition(": ")[0] + ": 40"), cause


@pytest.mark.parametrize(
    "message",
    [
        "s3://b: 403 AuthorizationHeaderMalformed: no",
        "https",
        "a request id is missing",
        "IllegalLocationConstraintException",
    ],
)
def test_what_names_no_record_stays(message: str) -> None:
    assert message_pattern(message) == message


@pytest.mark.django_db
def test_failures_are_grouped_by_what_they_say(folder_batch: Seed) -> None:
    made = folder_batch("plc", list("abcdefg"), uncertain=["u"])
    records = BatchRecord.objects.filter(batch=made.batch)
    for one in "abc":
        records.filter(identifier=one).update(ingest_outcome="failure", ingest_message=CONFLICT.format(one))
    records.filter(identifier="d").update(ingest_outcome="failure", ingest_candidate="409 Client Error")
    records.filter(identifier="e").update(ingest_outcome="failure")
    records.filter(identifier="f").update(ingest_outcome="success", ingest_message="Failed at first: 500")
    records.filter(identifier="g").update(
        upload_outcome=UploadOutcome.UNUPLOADABLE, upload_message="file 'g.xml' not found", ingest_outcome="failure"
    )
    with_many, *others = failure_causes(made.batch)
    assert with_many == FailureCause(
        "ingest", "failure", "409 Client Error: for url: <url>", 3, False, 1, "a", CONFLICT.format("a")
    )
    assert [(one.step, one.outcome, one.message, one.records, one.candidate, one.identifier) for one in others] == [
        ("ingest", "failure", "409 Client Error", 1, True, "d"),
        ("ingest", "failure", "no message", 1, False, "e"),
        ("upload", "unuploadable", "file '…' not found", 1, False, "g"),
        ("upload", "uncertain", "no message", 1, False, "u"),
    ]


@pytest.mark.django_db
def test_messages_that_have_nothing_in_common_become_one_cause(
    folder_batch: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.reports.failure_causes.MAX_CAUSES", 3)
    made = folder_batch("plc", list("abcdef"))
    for one in "abcdef":
        BatchRecord.objects.filter(identifier=one).update(ingest_outcome="failure", ingest_message=f"only {one}")
    found = failure_causes(made.batch)
    assert [(one.message, one.records) for one in found] == [
        ("… other messages", 3),
        ("only a", 1),
        ("only b", 1),
        ("only c", 1),
    ]
