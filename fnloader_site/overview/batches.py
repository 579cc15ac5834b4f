"""The batches' half of the overview: where each batch stands, what is under way, and what of it needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from batches import concerns
from batches.choices import STATE_COLOURS, BatchStatus, UploadOutcome
from batches.ingest.forecast import current_forecast
from batches.models import Batch, BatchRecord
from batches.querysets import batches_with_state
from core.charts import Chart
from core.concerns import Concern
from fnloader_site.overview.entries import SHOWN, Running
from fnloader_site.overview.last_day import batches_ended_chart

FOLLOWED = 5
"""Batches in ingest whose progress is shown, the latest: each costs a query."""


@dataclass(frozen=True)
class BatchesSection:
    """What somebody who may see batches is shown."""

    concerns: list[Concern]
    running: list[Running]
    batches: list[Batch]
    """With what `batches.querysets.batches_with_state` reckons for each, and `colour`."""
    charts: list[Chart]
    in_ingest: int
    """Batches that are uploaded, and whose ingest was not yet found complete."""
    in_all: int


def batches_section(now: datetime) -> BatchesSection:
    """Ten queries, whatever the tables hold, and one for each batch in ingest that is followed. Archived ones are left out."""
    by_status = dict(Batch.objects.filter(archived_at=None).order_by().values_list("status").annotate(n=Count("pk")))
    going = [batch for batch in concerns.unfinished_uploads() if batch.alive]  # type: ignore[attr-defined]
    newest = list(batches_with_state().filter(archived_at=None)[:SHOWN])
    for batch in newest:
        batch.colour = STATE_COLOURS[batch.stands]  # type: ignore[attr-defined]
    return BatchesSection(
        concerns=concerns.batch_concerns(),
        running=[*_running(going), *_ingests()],
        batches=newest,
        charts=[batches_ended_chart(now)],
        in_ingest=by_status.get(BatchStatus.UPLOADED, 0),
        in_all=sum(by_status.values()),
    )


def _running(batches: list[Batch]) -> Iterator[Running]:
    outcomes = BatchRecord.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    to_do = Q(upload_outcome__in=[UploadOutcome.PENDING, UploadOutcome.SENDING])
    groups = outcomes.values_list("batch").annotate(n=Count("pk"), left=Count("pk", filter=to_do)) if batches else ()
    numbers = {batch: (number - left, number) for batch, number, left in groups}
    for batch in batches:
        done, of = numbers.get(batch.pk, (0, 0))
        who = f"process {batch.upload_pid} on {batch.upload_host}"
        yield Running(f"Uploading batch {batch}", who, batch.upload_started, done=done, of=of, link=_page(batch))


def _ingests() -> Iterator[Running]:
    waiting: Any = batches_with_state().filter(
        status=BatchStatus.UPLOADED, archived_at=None, upload_finished__isnull=False
    )
    for batch in waiting.exclude(left=None)[:FOLLOWED]:
        drain = current_forecast(batch)
        if drain is None:
            continue
        until = f"no progress since {_clock(drain.at - drain.idle)}" if drain.stalled else ""
        if drain.earliest:
            until = f"empty at {_clock(drain.earliest)} at the earliest"
        of = max(batch.upload_oks or 0, drain.remaining)
        yield Running(
            f"Ingest of batch {batch}",
            f"{drain.remaining:,} objects left",
            drain.at,
            "counted",
            done=of - drain.remaining,
            of=of,
            link=_page(batch),
            until=until,
        )


def _clock(when: datetime) -> str:
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M}"


def _page(batch: Batch) -> str:
    return reverse("batches:batch", args=[batch.bid])
