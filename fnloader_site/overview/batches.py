"""The overview's section of batches: the state of each, what is running, and concerns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from batches.choices import STATE_COLOURS, BatchStatus, UploadOutcome
from batches.concerns import batch_concerns, unfinished_uploads
from batches.corrections.status import batches_with_open
from batches.ingest.forecast import current_forecast
from batches.models import Batch, BatchRecord
from batches.querysets import UPLOAD_IS_OPEN, batches_with_state
from core.charts import Chart
from core.concerns import Concern
from fnloader_site.overview.entries import LIST_LENGTH, RunningTask
from fnloader_site.overview.last_day import batches_ended_chart

MAX_RUNNING_INGESTS = 5
"""The latest batches in ingest whose progress is shown: each costs a query."""


@dataclass(frozen=True)
class BatchesSection:
    """For users who may see batches."""

    concerns: list[Concern]
    running: list[RunningTask]
    batches: list[Batch]
    """With the annotations of `batches_with_state` and `batches_with_open`, and `colour`."""
    charts: list[Chart]
    in_ingest: int
    """Batches that are uploaded and have no result yet."""
    total: int


def batches_section(now: datetime) -> BatchesSection:
    """Eleven queries, whatever the tables hold, and one for each running ingest. Archived batches are left out."""
    by_status = dict(Batch.objects.filter(archived_at=None).order_by().values_list("status").annotate(n=Count("pk")))
    newest: list[Batch] = list(batches_with_open(batches_with_state()).filter(archived_at=None)[:LIST_LENGTH])
    for batch in newest:
        batch.colour = STATE_COLOURS[batch.state]  # type: ignore[attr-defined]
    return BatchesSection(
        concerns=batch_concerns(),
        running=[*_running_uploads(), *_running_ingests()],
        batches=newest,
        charts=[batches_ended_chart(now)],
        in_ingest=by_status.get(BatchStatus.UPLOADED, 0),
        total=sum(by_status.values()),
    )


def _running_uploads() -> Iterator[RunningTask]:
    batches = [batch for batch in unfinished_uploads() if batch.alive]  # type: ignore[attr-defined]
    records = BatchRecord.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    pending = Count("pk", filter=Q(upload_outcome__in=[UploadOutcome.PENDING, UploadOutcome.SENDING]))
    rows = records.values_list("batch").annotate(n=Count("pk"), pending=pending) if batches else ()
    counts = {batch: (number - pending, number) for batch, number, pending in rows}
    for batch in batches:
        done, total = counts.get(batch.pk, (0, 0))
        process = f"process {batch.upload_pid} on {batch.upload_host}"
        yield RunningTask(
            f"Uploading batch {batch}", process, batch.upload_started, done=done, total=total, url=_url(batch)
        )


def _running_ingests() -> Iterator[RunningTask]:
    waiting: Any = batches_with_state().filter(status=BatchStatus.UPLOADED, archived_at=None).exclude(UPLOAD_IS_OPEN)
    for batch in waiting.exclude(remaining=None)[:MAX_RUNNING_INGESTS]:
        forecast = current_forecast(batch)
        if forecast is None:
            continue
        end = ""
        if forecast.earliest:
            end = f"done at {timezone.localtime(forecast.earliest):%Y-%m-%d %H:%M} at the earliest"
        elif forecast.stalled:
            end = f"no progress since {timezone.localtime(forecast.at - forecast.idle):%Y-%m-%d %H:%M}"
        total = max(batch.upload_oks or 0, forecast.remaining)
        yield RunningTask(
            f"Ingest of batch {batch}",
            f"{forecast.remaining:,} objects remaining",
            forecast.at,
            "counted",
            done=total - forecast.remaining,
            total=total,
            url=_url(batch),
            forecast=end,
        )


def _url(batch: Batch) -> str:
    return reverse("batches:batch", args=[batch.bid])
