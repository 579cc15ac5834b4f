"""Search from every page, and the page of one sample: where it is, or why not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.generic import View

from batches.models import BatchRecord
from core.lists.filters import begins
from core.permissions import PermissionView
from loader import sample_lookup
from loader.feeds.manage import client_for
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import Feed

SHOWN = 50
LONGEST = 300
MOST_DAYS = 31
SEES_FILES, SEES_RECORDS = "loader.view_bucketobject", "batches.view_batchrecord"
ASK_SECONDS = 4.0


class Contains(forms.Form):
    """A search inside names, within a feed and a span, since no index serves it."""

    q = forms.CharField(label="Contains", min_length=3, max_length=LONGEST)
    feed = forms.ModelChoiceField(Feed.objects.order_by("name"), label="Within the feed")
    since = forms.DateTimeField(label="Written from", widget=forms.DateTimeInput({"type": "datetime-local"}))
    until = forms.DateTimeField(label="Until", widget=forms.DateTimeInput({"type": "datetime-local"}))

    def clean(self) -> dict[str, Any]:
        """The span is bounded."""
        data: dict[str, Any] = super().clean() or {}
        if {"since", "until"} <= set(data) and data["until"] - data["since"] > timedelta(days=MOST_DAYS):
            raise forms.ValidationError(f"Choose a span of {MOST_DAYS} days or less.")
        return data


class Search(View):
    """`/search/?q=`: sample ids, files and record identifiers that begin so; one sample and nothing else opens its page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ranges of indexes, each with a limit."""
        query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
        inside = Contains(request.GET if "feed" in request.GET else None, initial=_last_week(query))
        if inside.is_bound:
            ids = self._contains(request.user, inside)
            records: list[BatchRecord] = []
        else:
            ids = sample_lookup.ids_with_prefix(query, SHOWN) if query and request.user.has_perm(SEES_FILES) else []
            records = _records(query) if query and request.user.has_perm(SEES_RECORDS) else []
        if len(ids) == 1 and not records and not inside.is_bound:
            return HttpResponseRedirect(f"{reverse('sample')}?{urlencode({'id': ids[0]})}")
        context = {
            "query": query,
            "hits": sample_lookup.sample_hits(ids[:SHOWN]),
            "records": records[:SHOWN],
            "more": len(ids) > SHOWN or len(records) > SHOWN,
            "inside": inside if request.user.has_perm(SEES_FILES) else None,
        }
        return render(request, "search.html", context)

    def _contains(self, user: User | AnonymousUser, inside: Contains) -> list[str]:
        if not (inside.is_valid() and user.has_perm(SEES_FILES)):
            return []
        data = inside.cleaned_data
        return sample_lookup.ids_containing(data["q"], data["feed"], data["since"], data["until"], SHOWN)


class SamplePage(PermissionView, View):
    """`/sample/?id=`: one sentence, then all facts. Servers are asked by the browser, one request each (`Ask`)."""

    permission_required = SEES_FILES

    def get(self, request: HttpRequest) -> HttpResponse:
        """Six queries, by index."""
        name = request.GET.get("id", "").replace("\0", "").strip()[:LONGEST]
        sample = sample_lookup.look_up(name)
        near = sample_lookup.neighbours(sample.attempts[0]) if sample.attempts else []
        return render(request, "sample.html", {"sample": sample, "neighbours": near})


class Ask(PermissionView, View):
    """Asks the server of one feed whether it holds a sample; a small piece of HTML for the sample's page."""

    permission_required = SEES_FILES

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Waits for the server a few seconds at most."""
        feed = get_object_or_404(Feed.objects.select_related("server"), name=name)
        sample = request.GET.get("id", "").replace("\0", "").strip()[:LONGEST]
        client = client_for(feed)
        try:
            holds = client.exists(sample, seconds=ASK_SECONDS)
            answer, colour, why = ("holds it", "green", "") if holds else ("does not hold it", "grey", "")
        except (ServerUnavailable, ServerMisconfigured) as error:
            answer, colour, why = "no answer", "orange", str(error)
        finally:
            client.close()
        context = {"answer": answer, "colour": colour, "why": why, "asked_at": timezone.now()}
        return render(request, "sample/answer.html", context)


def _records(query: str) -> list[BatchRecord]:
    rows = BatchRecord.objects.filter(**begins("identifier", query)).select_related("batch")
    return list(rows.order_by("identifier", "batch")[: SHOWN + 1])


def _last_week(query: str) -> dict[str, Any]:
    now = timezone.localtime().replace(second=0, microsecond=0)
    form = "%Y-%m-%dT%H:%M"
    return {"q": query, "since": f"{now - timedelta(days=7):{form}}", "until": f"{now + timedelta(minutes=1):{form}}"}
