"""The overview, and the word that says the process lives."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def overview(request: HttpRequest) -> HttpResponse:
    """What was sent, what was loaded, and whether something needs a person."""
    return render(request, "overview.html", {})


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """One word for a monitor: this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")
