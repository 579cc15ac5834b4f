"""How fast batches were ingested: a list, drawn over time, by kind, with the slowest ones named."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from batches.filters import RateFilterSet
from batches.models import Batch
from batches.reports.rates import rate_groups, rate_rows, rates_over_time, slowest, with_rates
from batches.tables import RateTable
from core.charts import Chart, Series
from core.lists.views import FilteredListView

MAX_COMPARED = 10_000
"""Batches that are drawn and compared, the latest ones; the list has all."""


class RateListView(FilteredListView):
    """All batches whose rate is known, archived ones too, the latest first."""

    queryset = with_rates(Batch.objects.all()).order_by("-ingest_done_at", "-pk")
    filterset_class = RateFilterSet
    table_class = RateTable
    template_name = "batches/rates.html"
    permission_required = "batches.view_batch"
    title = "Ingest rates"
    lead = "Records a minute, from the first object put to the end of the ingest."
    empty = "No rates yet: they are known once `python manage.py ingstat BID` has found the end of an ingest."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        rows = rate_rows(self.object_list, MAX_COMPARED)
        slots, medians = rates_over_time(rows, timezone.now())
        series = [Series("records a minute (median)", "blue", medians)]
        return {
            **super().get_context_data(**kwargs),
            "chart": Chart("Median rate by end of the ingest", slots.moments, series, day=True, totals=False),
            "groups": rate_groups(rows),
            "slowest": slowest(rows),
        }
