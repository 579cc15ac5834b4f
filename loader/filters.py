"""Filters of the loader's list pages. On the tables that grow, each has an index (loader/models/feeds.py)."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db import connections
from django.db.models import Q, QuerySet

from core.lists.filters import AfterFilter, BaseFilterSet, BeforeFilter, ExactFilter, PrefixFilter, RecentFilter, begins
from loader.choices import FINDING_KINDS, AttemptOutcome, FeedState, LoadResult, ObjectState
from loader.fasta.parser import sample_id
from loader.models import Feed, Server
from loader.querysets import NOT_IN_SERVER

PARSED = {"success": Q(parse_status="Success"), "failed": ~Q(parse_status="Success") & Q(parse_status__isnull=False)}


def sample_or_file(text: str, seqid: str, guid: str, name: str) -> Q:
    """Rows whose sample id, or id in the server, begins with the text, or whose file has that name."""
    found = Q(**begins(seqid, text)) | Q(**begins(guid, text))
    if "." in text or "/" in text:
        found |= Q(**{seqid: sample_id(text)}, **begins(name, text))
    return found


class SampleFilterSet(BaseFilterSet):
    """Base of those that look for a sample or a file, in these columns."""

    seqid, guid, name = "seqid", "guid", "name"
    q = filters.CharFilter(label="Sample begins, or file", method="search")

    def search(self, rows: QuerySet[Any], _name: str, text: str) -> QuerySet[Any]:
        """By index: a file is looked for by its sample id, which its name begins with."""
        found = sample_or_file(text, self.seqid, self.guid, self.name)
        if connections[rows.db].vendor == "sqlite":
            # It would read and sort all that are found; their keys come from indexes, in their order.
            return rows.filter(pk__in=rows.order_by().filter(found).values("pk"))
        return rows.filter(found)

    def parts(self) -> list[QuerySet[Any]]:
        """Those whose sample id begins so are counted in its index, and most often are all."""
        text = self.form.cleaned_data.get("q")
        if not text or "." in text or "/" in text:
            return super().parts()
        rest = self.data.copy()
        rest.pop("q")
        rows = type(self)(rest, queryset=self.queryset).qs
        of_id = begins(self.seqid, text)
        return [rows.filter(**of_id), rows.filter(**begins(self.guid, text)).exclude(**of_id)]


class FeedFilterSet(BaseFilterSet):
    """By name, state and server."""

    q = PrefixFilter("name", label="Name begins")
    stands = filters.ChoiceFilter(label="State", choices=FeedState.choices, empty_label="any")
    server = filters.ModelChoiceFilter(label="Server", queryset=Server.objects.order_by("identity"), empty_label="any")
    scheduled = filters.BooleanFilter(label="Scheduled")
    more = ("scheduled",)


class AttemptFilterSet(SampleFilterSet):
    """By what operators ask: which sample, which feed, what answer, when."""

    guid, name = "fn4id", "file_name"
    outcome = filters.ChoiceFilter(label="Outcome", choices=AttemptOutcome.choices, empty_label="any")
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    when = RecentFilter("bucket_read_start_time")
    status = filters.NumberFilter("insert_status_code", label="Status code")
    wrong = filters.ChoiceFilter(
        label="Answer", choices=[("1", "other than 200 and 201")], empty_label="any", method="other"
    )
    parsed = filters.ChoiceFilter(
        label="Parse status", choices=[("success", "Success"), ("failed", "Failed")], empty_label="any", method="parse"
    )
    completed = filters.ChoiceFilter(
        label="Completed", choices=[("1", "done with for ever"), ("0", "to be tried again")], empty_label="any"
    )
    server = ExactFilter("findneighbour_server_url", label="Server's URL")
    load = filters.NumberFilter("batch_load", label="Batch load, by number")
    host = ExactFilter("host_name", label="Host")
    since = AfterFilter("bucket_read_start_time")
    until = BeforeFilter("bucket_read_start_time")
    more = ("status", "wrong", "parsed", "completed", "server", "load", "host", "since", "until")

    def other(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """What the reference text's monitoring asks for."""
        return rows.filter(NOT_IN_SERVER[0] | NOT_IN_SERVER[1])

    def parts(self) -> list[QuerySet[Any]]:
        """Of wrong answers each side is a range of an index."""
        parts = super().parts()
        return (
            [part.filter(side) for part in parts for side in NOT_IN_SERVER]
            if self.form.cleaned_data.get("wrong")
            else parts
        )

    def parse(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Failed is all that is not Success."""
        return rows.filter(PARSED[value])


class BatchLoadFilterSet(BaseFilterSet):
    """By feed, time, host, and whether anything was due."""

    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    when = RecentFilter("check_time")
    due = filters.ChoiceFilter(label="Due", choices=[("1", "something")], empty_label="any", method="was_due")
    host = ExactFilter("host_name", label="Host")
    server = ExactFilter("findneighbour_server_url", label="Server's URL")
    since = AfterFilter("check_time")
    until = BeforeFilter("check_time")
    more = ("host", "server", "since", "until")

    def was_due(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """Looks that found something to load."""
        return rows.filter(batch_size__gt=0)


class ObjectFilterSet(SampleFilterSet):
    """By sample or file, state and feed."""

    state = filters.ChoiceFilter(label="State", choices=ObjectState.choices, empty_label="any")
    accepted = filters.ChoiceFilter(
        label="Rejection", choices=[("0", "not yet accepted"), ("1", "accepted")], empty_label="any", method="taken"
    )
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    result = filters.ChoiceFilter(
        label="Came in",
        choices=[(LoadResult.CONFLICTING.value, LoadResult.CONFLICTING.label)],
        empty_label="any way",
        method="differs",
    )
    more = ("result",)

    def differs(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """Samples of which the server keeps another sequence."""
        return rows.filter(result=LoadResult.CONFLICTING)

    def taken(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Rejected files that somebody accepted, or nobody yet."""
        return rows.filter(state=ObjectState.REJECTED, acknowledged_at__isnull=value == "0")


class FindingFilterSet(BaseFilterSet):
    """By sample, feed, and what the difference is."""

    q = PrefixFilter("guid", label="Sample begins")
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    kind = filters.ChoiceFilter(label="Difference", choices=FINDING_KINDS, empty_label="any")
