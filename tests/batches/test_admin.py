"""The admin shows what machines wrote, and lets nobody change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django_q.models import OrmQ

from batches.keys import digest
from batches.models import Batch, BatchRecord, IngestCheck, IngestCount

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def batch(db: None) -> Batch:
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE", record_count=3)
    for row in range(1, 4):
        BatchRecord.objects.create(
            batch=batch, row=row, key=f"k{row}", key_digest=digest(f"k{row}"), identifier=f"A{row}"
        )
    check = IngestCheck.objects.create(
        batch=batch,
        started_at=NOW,
        finished_at=NOW,
        store="s3://b",
        sleep_seconds=1.5,
        checks=1,
        rechecks=1,
        verdict="in_progress",
        remaining=3,
        asked_by="me",
        host="here",
    )
    IngestCount.objects.create(
        check_run=check, number=1, counted_at=NOW, remaining=3, digest="0" * 32, foreign=0, invalid=0
    )
    return batch


@pytest.mark.parametrize("model", ["batch", "batchrecord", "ingestcheck"])
def test_lists_and_rows_are_shown_and_nothing_can_be_added_or_deleted(
    admin_client: Client, batch: Batch, model: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(9):
        assert "3" in admin_client.get(reverse(f"admin:batches_{model}_changelist")).content.decode()
    pk = {"batch": batch.pk, "batchrecord": batch.records.get(row=2).pk, "ingestcheck": batch.checks.get().pk}[model]
    assert admin_client.get(reverse(f"admin:batches_{model}_change", args=[pk])).status_code == 200
    assert admin_client.get(reverse(f"admin:batches_{model}_add")).status_code == 403
    assert admin_client.post(reverse(f"admin:batches_{model}_delete", args=[pk]), {"post": "yes"}).status_code == 403


def test_only_the_notes_of_a_batch_can_be_written(admin_client: Client, batch: Batch) -> None:
    change = reverse("admin:batches_batch_change", args=[batch.pk])
    assert admin_client.post(change, {"notes": "ask the museum", "status": "ingested"}).status_code == 302
    batch.refresh_from_db()
    assert (batch.notes, batch.status) == ("ask the museum", "added")
    record = batch.records.get(row=1)
    row = reverse("admin:batches_batchrecord_change", args=[record.pk])
    assert admin_client.post(row, {"upload_outcome": "success"}).status_code == 403


def test_records_are_found_by_batch_and_by_identifier(admin_client: Client, batch: Batch) -> None:
    records = reverse("admin:batches_batchrecord_changelist")
    for words, hits in (("plc", 3), ("A2", 1), ("A", 0)):
        page = admin_client.get(records, {"q": words}).content.decode()
        assert page.count("field-identifier") == hits, words


def test_a_check_of_many_counts_shows_its_last_ones_and_one_without_a_verdict_says_why(
    admin_client: Client, batch: Batch
) -> None:
    check = batch.checks.get()
    IngestCount.objects.bulk_create(
        IngestCount(
            check_run=check, number=n, counted_at=NOW, remaining=7000 + n, digest="0" * 32, foreign=0, invalid=0
        )
        for n in range(2, 151)
    )
    page = admin_client.get(reverse("admin:batches_ingestcheck_change", args=[check.pk])).content.decode()
    assert "7150" in page
    assert "7051" in page
    assert "7050" not in page
    batch.checks.update(verdict=None, problem="the store was away", kind="tick")
    page = admin_client.get(reverse("admin:batches_ingestcheck_changelist")).content.decode()
    assert "the store was away" in page
    assert "scheduled check" in page


def test_a_message_that_may_be_of_a_record_is_shown_as_that(admin_client: Client, batch: Batch) -> None:
    batch.records.update(ingest_candidate="409 Client Error")
    page = admin_client.get(reverse("admin:batches_batchrecord_changelist")).content.decode()
    assert "Perhaps: 409 Client Error" in page


def test_selected_batches_are_checked_by_jobs_and_archived_and_the_trail_says_who(
    admin_client: Client, batch: Batch
) -> None:
    where = reverse("admin:batches_batch_changelist")
    busy = Batch.objects.create(
        bid="busy",
        rectype="collectionobject",
        action="CREATE",
        status="uploaded",
        upload_started=NOW,
        upload_finished=NOW,
    )
    chosen = [batch.pk, busy.pk]
    admin_client.post(where, {"action": "check_now", "_selected_action": chosen})
    jobs = [job.task for job in OrmQ.objects.all()]
    assert sorted((job["func"], *job["args"]) for job in jobs) == [
        ("batches.tasks.check_batch", pk, "admin") for pk in sorted(chosen)
    ]
    said = admin_client.post(where, {"action": "archive", "_selected_action": chosen}, follow=True).content.decode()
    assert "plc archived" in said
    assert "may still be ingesting" in said, "one that can't be archived says why, and keeps no other from it"
    assert list(Batch.objects.exclude(archived_at=None).values_list("bid", flat=True)) == ["plc"]
    trail = LogEntry.objects.order_by("pk").values_list("object_repr", "change_message")
    assert set(trail) == {("plc", "Check now"), ("busy", "Check now"), ("plc", "Archive")}
