"""How long to wait before a result is believed: the advice from all ingests, and one ingest replayed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.generic import View

from batches.ingest.advice import FALLBACK, MIN_COURSES, advise, quiet_setting, replay
from batches.ingest.course import sum_up_earlier
from batches.ingest.scheduled import scheduled_options
from batches.models import Batch
from core.permissions import PermissionView

MAX_SUMMED_UP = 20
"""Batches of an earlier version whose counts are summed up while a page is made; `ingstat --advise` does all."""


class AdviceView(PermissionView, View):
    """Options compared over all ingests whose end is known, and the recommended ones."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest) -> HttpResponse:
        """A few queries, however many counts there are."""
        is_partial = sum_up_earlier(MAX_SUMMED_UP)
        everything, *by_rectype = advise()
        best = everything.recommended
        context = {
            "title": "How long to wait",
            "advice": everything,
            "by_rectype": by_rectype,
            "needed": MIN_COURSES,
            "fallback": FALLBACK,
            "setting": quiet_setting(best.options) if best else None,
            "setting_now": scheduled_options().quiet_minutes,
            "is_partial": is_partial,
        }
        return render(request, "batches/advice.html", context)


class ReplayView(PermissionView, View):
    """What other options would have said about the last ingest of a batch, and when."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest, bid: str) -> HttpResponse:
        """Reads all counts of the batch."""
        batch = get_object_or_404(Batch, bid=bid)
        context = {"title": f"Batch {batch} replayed", "batch": batch, "replayed": replay(batch)}
        return render(request, "batches/replay.html", context)
