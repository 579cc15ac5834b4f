"""The search of every page, and the page of one sample: where it is, or why it is not loaded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.generic import View

from batches.models import BatchRecord
from batches.querysets import identifier_lookups
from core.lists.filters import LocalTimeField, PastedTextField
from core.pasted import search_terms, spellings
from core.permissions import PermissionView
from loader import sample_lookup
from loader.feeds.manage import client_for
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import Feed

MAX_HITS = 50
MAX_QUERY_LENGTH = 300
MAX_PASTED_LENGTH = 5000
MAX_DAYS = 31
FILES_PERMISSION, RECORDS_PERMISSION = "loader.view_bucketobject", "batches.view_batchrecord"
SERVER_TIMEOUT = 4.0


class ContainsForm(forms.Form):
    """A search inside names, within a feed and a time range, since no index serves it. Defaults to the last week."""

    q = PastedTextField(label="Contains", min_length=3, max_length=MAX_QUERY_LENGTH)
    feed = forms.ModelChoiceField(Feed.objects.order_by("name"), label="In feed")
    since = LocalTimeField(label="Written from", initial=lambda: _local_minute(-timedelta(days=7)))
    until = LocalTimeField(label="Until", initial=lambda: _local_minute(timedelta(minutes=1)))

    def clean(self) -> dict[str, Any]:
        """Limits the time range."""
        data: dict[str, Any] = super().clean() or {}
        if {"since", "until"} <= set(data) and data["until"] - data["since"] > timedelta(days=MAX_DAYS):
            raise forms.ValidationError(f"Choose {MAX_DAYS} days or less.")
        return data


def _local_minute(offset: timedelta) -> str:
    return f"{timezone.localtime() + offset:%Y-%m-%dT%H:%M}"


def _parameter(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").replace("\0", "").strip()[:MAX_QUERY_LENGTH]


class SearchView(View):
    """`/search/?q=`: sample ids, files and record identifiers by prefix; a single sample redirects to its page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Reads ranges of indexes, each with a limit."""
        terms, user = search_terms(request.GET.get("q", "")[:MAX_PASTED_LENGTH]), request.user
        query = terms[0][:MAX_QUERY_LENGTH] if terms else ""
        form = ContainsForm(request.GET if "feed" in request.GET else None, initial={"q": query})
        ids: list[str] = []
        records: list[BatchRecord] = []
        if user.has_perm(FILES_PERMISSION) and form.is_valid():
            data = form.cleaned_data
            ids = sample_lookup.ids_containing(data["q"], data["feed"], data["since"], data["until"], MAX_HITS)
        # The first term that finds something; the others are guesses at what was pasted.
        for term in terms if not form.is_bound else ():
            for spelling in spellings(term[:MAX_QUERY_LENGTH]):
                if user.has_perm(FILES_PERMISSION):
                    ids += [found for found in sample_lookup.ids_with_prefix(spelling, MAX_HITS) if found not in ids]
            lookups = identifier_lookups(term[:MAX_QUERY_LENGTH]) if user.has_perm(RECORDS_PERMISSION) else {}
            for field, lookup in lookups.items():
                rows = BatchRecord.objects.filter(lookup).select_related("batch")
                records += rows.order_by(field, "batch")[: MAX_HITS + 1]
            if term != terms[0] and (exact := [found for found in ids if found == term]):
                ids = exact
            if ids or records:
                break
        if len(ids) == 1 and not records and not form.is_bound:
            return HttpResponseRedirect(f"{reverse('sample')}?{urlencode({'id': ids[0]})}")
        context = {
            "query": query,
            "hits": sample_lookup.sample_hits(ids[:MAX_HITS]),
            "records": records[:MAX_HITS],
            "more": len(ids) > MAX_HITS or len(records) > MAX_HITS,
            "contains_form": form if user.has_perm(FILES_PERMISSION) else None,
        }
        return render(request, "search.html", context)


class SampleView(PermissionView, View):
    """`/sample/?id=`: a summary, then all facts. The browser queries each server by a request to `ServerLookupView`."""

    permission_required = FILES_PERMISSION

    def get(self, request: HttpRequest) -> HttpResponse:
        """Six queries, by index."""
        sample = sample_lookup.look_up(_parameter(request, "id"))
        neighbours = sample_lookup.neighbours(sample.attempts[0]) if sample.attempts else []
        return render(request, "sample.html", {"sample": sample, "neighbours": neighbours})


class ServerLookupView(PermissionView, View):
    """Whether the server of a feed holds a sample, as a fragment of HTML for the sample's page."""

    permission_required = FILES_PERMISSION

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Waits a few seconds for the server."""
        feed = get_object_or_404(Feed.objects.select_related("server"), name=name)
        client = client_for(feed)
        try:
            holds = client.exists(_parameter(request, "id"), seconds=SERVER_TIMEOUT)
            answer, colour, why = ("holds it", "green", "") if holds else ("does not hold it", "grey", "")
        except (ServerUnavailable, ServerMisconfigured) as error:
            answer, colour, why = "no answer", "orange", str(error)
        finally:
            client.close()
        context = {"answer": answer, "colour": colour, "why": why, "asked_at": timezone.now()}
        return render(request, "sample/answer.html", context)
