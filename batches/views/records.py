"""The page of one record: what happened to it, its row in the source, and the same record in batches that correct its own."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.generic import View

from batches.choices import RECORD_STATUS_COLOURS, RecordStatus
from batches.corrections.links import linked_records
from batches.models import BatchRecord
from batches.record_list import record_status
from core.permissions import PermissionView

MAX_LINKED = 50


@dataclass(frozen=True)
class LinkedRecord:
    """The record in another batch: one that corrects its own, or is corrected by it."""

    record: BatchRecord
    status: RecordStatus
    colour: str
    is_later: bool


class RecordView(PermissionView, View):
    """All facts of one record."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest, bid: str, row: int) -> HttpResponse:
        """Three queries, by index."""
        record = get_object_or_404(BatchRecord.objects.select_related("batch"), batch__bid=bid, row=row)
        status = record_status(record.upload_outcome, record.ingest_outcome)
        linked = []
        for other in linked_records(record)[:MAX_LINKED]:
            known = record_status(other.upload_outcome, other.ingest_outcome)
            linked.append(LinkedRecord(other, known, RECORD_STATUS_COLOURS[known], other.batch_id > record.batch_id))
        corrected_in = next(
            (one.record for one in linked if one.is_later and one.status == RecordStatus.INGESTED), None
        )
        context = {
            "record": record,
            "status": status,
            "colour": RECORD_STATUS_COLOURS[status],
            "linked": linked,
            "corrected_in": corrected_in,
            "source": list(zip(json.loads(record.batch.source_columns), json.loads(record.source), strict=False)),
        }
        return render(request, "batches/record.html", context)
