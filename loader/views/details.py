"""One attempt, and one file with all its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.generic import View

from core.permissions import PermissionView
from loader.choices import ObjectState
from loader.models import BucketObject, LoadAttempt

MAX_ATTEMPTS = 50
"""Attempts of one file that are shown."""


@dataclass(frozen=True)
class TimelineStep:
    """One part of an attempt."""

    name: str
    colour: str
    began: datetime | None
    ended: datetime | None
    note: str = ""

    @property
    def took(self) -> timedelta | None:
        """None if it did not begin, or its end is unknown."""
        return self.ended - self.began if self.began and self.ended else None

    @property
    def duration_text(self) -> str:
        """`340 ms`, `2.1 s`, `3:02:11`."""
        if self.took is None:
            return "unknown" if self.began else "not started"
        seconds = self.took.total_seconds()
        if seconds < 1:
            return f"{seconds * 1000:.0f} ms"
        return f"{seconds:.1f} s" if seconds < 120 else str(timedelta(seconds=round(seconds)))


def timeline(attempt: LoadAttempt) -> list[TimelineStep]:
    """Waited, read, parsed, inserted. Parsing is the time between download and insert."""
    seen = attempt.bucket_object.created if attempt.bucket_object else attempt.batch_start_time
    waits = f"server busy {attempt.lock_waits} times (HTTP 409)" if attempt.lock_waits else ""
    length = f"{attempt.len_seq:,} letters" if attempt.len_seq else ""
    return [
        TimelineStep("Waited", "grey", seen, attempt.bucket_read_start_time, "since it was written to the bucket"),
        TimelineStep(
            "Read", "blue", attempt.bucket_read_start_time, attempt.bucket_read_end_time, attempt.file_name or ""
        ),
        TimelineStep("Parsed", "orange", attempt.bucket_read_end_time, attempt.insert_start_time, length),
        TimelineStep("Inserted", "green", attempt.insert_start_time, attempt.insert_end_time, waits),
    ]


@dataclass(frozen=True)
class BarPart:
    """A step as a piece of a bar of width 1000."""

    step: TimelineStep
    x: float
    width: float


def time_bar(steps: list[TimelineStep]) -> list[BarPart]:
    """The steps after the waiting that took time, side by side."""
    timed = [(step, step.took.total_seconds()) for step in steps[1:] if step.took and step.took.total_seconds() > 0]
    whole, x, parts = sum(seconds for _, seconds in timed), 0.0, []
    for step, seconds in timed:
        parts.append(BarPart(step, round(x, 1), round(seconds / whole * 1000, 1)))
        x += seconds / whole * 1000
    return parts


class AttemptDetailView(PermissionView, View):
    """One attempt as a timeline."""

    permission_required = "loader.view_loadattempt"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        related = ("feed", "server", "bucket_object", "batch_load")
        attempt = get_object_or_404(LoadAttempt.objects.select_related(*related), pk=pk)
        steps = timeline(attempt)
        context = {"attempt": attempt, "steps": steps, "bar": time_bar(steps)}
        return render(request, "loader/attempt.html", context)


class FileDetailView(PermissionView, View):
    """One version of one file, why it is not loaded, and what was tried."""

    permission_required = "loader.view_bucketobject"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        file = get_object_or_404(BucketObject.objects.select_related("feed__server"), pk=pk)
        attempts = list(file.attempts.order_by("-gp_int_id")[:MAX_ATTEMPTS])
        first = next((attempt.first_128_chars for attempt in attempts if attempt.first_128_chars), "")
        context = {
            "file": file,
            "attempts": attempts,
            "first": first,
            "rejected": file.state == ObjectState.REJECTED,
            "postponed": file.state == ObjectState.WAITING and file.not_before,
        }
        return render(request, "loader/file.html", context)
