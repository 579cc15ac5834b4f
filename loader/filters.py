"""Filters of the loader's list pages. On tables that grow, each has an index (loader/models)."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db import connections
from django.db.models import Q, QuerySet

from core.lists.filters import (
    AfterFilter,
    BaseFilterSet,
    BeforeFilter,
    ExactFilter,
    PrefixFilter,
    RecentFilter,
    SearchFilter,
    prefix_lookup,
)
from loader.choices import FINDING_KINDS, AttemptOutcome, FeedState, LoadResult, ObjectState, TwinKind
from loader.fasta.names import possible_ids
from loader.models import Feed, Server, TwinComparison
from loader.querysets import NOT_IN_SERVER

RARE_RESULTS = (LoadResult.CONFLICTING, LoadResult.UNPROVEN, LoadResult.INVALID)
"""Results that have an index of their own."""
PARSED = {"success": Q(parse_status="Success"), "failed": ~Q(parse_status="Success") & Q(parse_status__isnull=False)}


def sample_or_file(text: str, seqid: str, guid: str, name: str) -> Q:
    """Rows whose sample id or server id begins with the text, or whose file has that name."""
    condition = Q(**prefix_lookup(seqid, text)) | Q(**prefix_lookup(guid, text))
    if "." in text or "/" in text:
        condition |= Q(**{f"{seqid}__in": possible_ids(text)}, **prefix_lookup(name, text))
    return condition


class SampleFilterSet(BaseFilterSet):
    """Base of filters that search for a sample or a file, in these columns."""

    seqid, guid, name = "seqid", "guid", "name"
    q = SearchFilter(label="Sample or file", method="search")

    def search(self, rows: QuerySet[Any], _name: str, text: str) -> QuerySet[Any]:
        """By index: a file is searched by its sample id, with which its name begins."""
        condition = sample_or_file(text, self.seqid, self.guid, self.name)
        if connections[rows.db].vendor == "sqlite":
            # Otherwise it would read and sort all matches; their keys come from indexes, in order.
            return rows.filter(pk__in=rows.order_by().filter(condition).values("pk"))
        return rows.filter(condition)

    def parts(self) -> list[QuerySet[Any]]:
        """Matches of the sample id are counted in its index, and are usually all."""
        text = self.form.cleaned_data.get("q")
        if not text or "." in text or "/" in text:
            return super().parts()
        rest = self.data.copy()
        rest.pop("q")
        rows = type(self)(rest, queryset=self.queryset).qs
        of_id = prefix_lookup(self.seqid, text)
        return [rows.filter(**of_id), rows.filter(**prefix_lookup(self.guid, text)).exclude(**of_id)]


class FeedFilterSet(BaseFilterSet):
    """By name, state and server."""

    q = PrefixFilter("name", label="Name")
    stands = filters.ChoiceFilter(label="State", choices=FeedState.choices, empty_label="any")
    server = filters.ModelChoiceFilter(label="Server", queryset=Server.objects.order_by("identity"), empty_label="any")
    scheduled = filters.BooleanFilter(label="Scheduled")
    more = ("scheduled",)


class AttemptFilterSet(SampleFilterSet):
    """By sample, feed, answer and time."""

    guid, name = "fn4id", "file_name"
    outcome = filters.ChoiceFilter(label="Outcome", choices=AttemptOutcome.choices, empty_label="any")
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    when = RecentFilter("bucket_read_start_time")
    status = filters.NumberFilter("insert_status_code", label="Status code")
    wrong = filters.ChoiceFilter(
        label="Answer", choices=[("1", "not 200 or 201")], empty_label="any", method="filter_wrong"
    )
    parsed = filters.ChoiceFilter(
        label="Parse status",
        choices=[("success", "Success"), ("failed", "Failed")],
        empty_label="any",
        method="filter_parsed",
    )
    completed = filters.ChoiceFilter(label="Final", choices=[("1", "yes"), ("0", "no, will retry")], empty_label="any")
    server = ExactFilter("findneighbour_server_url", label="Server URL")
    load = filters.NumberFilter("batch_load", label="Batch load number")
    host = ExactFilter("host_name", label="Host")
    since = AfterFilter("bucket_read_start_time")
    until = BeforeFilter("bucket_read_start_time")
    more = ("status", "wrong", "parsed", "completed", "server", "load", "host", "since", "until")

    def filter_wrong(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """As the monitoring SQL of the reference text."""
        return rows.filter(NOT_IN_SERVER[0] | NOT_IN_SERVER[1])

    def parts(self) -> list[QuerySet[Any]]:
        """Each range of wrong answers is counted by an index."""
        parts = super().parts()
        return (
            [part.filter(side) for part in parts for side in NOT_IN_SERVER]
            if self.form.cleaned_data.get("wrong")
            else parts
        )

    def filter_parsed(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Failed means: not Success."""
        return rows.filter(PARSED[value])


class BatchLoadFilterSet(BaseFilterSet):
    """By feed, time, host, and whether samples were due."""

    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    when = RecentFilter("check_time")
    due = filters.ChoiceFilter(label="Due", choices=[("1", "some")], empty_label="any", method="filter_due")
    host = ExactFilter("host_name", label="Host")
    server = ExactFilter("findneighbour_server_url", label="Server URL")
    since = AfterFilter("check_time")
    until = BeforeFilter("check_time")
    more = ("host", "server", "since", "until")

    def filter_due(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """Scans that found something to load."""
        return rows.filter(batch_size__gt=0)


class ObjectFilterSet(SampleFilterSet):
    """By sample or file, state and feed."""

    state = filters.ChoiceFilter(label="State", choices=ObjectState.choices, empty_label="any")
    accepted = filters.ChoiceFilter(
        label="Rejection",
        choices=[("0", "not acknowledged"), ("1", "acknowledged")],
        empty_label="any",
        method="filter_acknowledged",
    )
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    result = filters.ChoiceFilter(
        label="Result",
        choices=[(result.value, result.label) for result in RARE_RESULTS],
        empty_label="any",
    )
    more = ("result",)

    def filter_acknowledged(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Rejected files that are acknowledged, or not."""
        return rows.filter(state=ObjectState.REJECTED, acknowledged_at__isnull=value == "0")


class FindingFilterSet(BaseFilterSet):
    """By sample, feed and kind."""

    q = PrefixFilter("guid", label="Sample")
    feed = filters.ModelChoiceFilter(label="Feed", queryset=Feed.objects.order_by("name"), empty_label="any")
    kind = filters.ChoiceFilter(label="Difference", choices=FINDING_KINDS, empty_label="any")


class TwinFindingFilterSet(BaseFilterSet):
    """By sample, pair of servers and kind."""

    q = PrefixFilter("guid", label="Sample")
    comparison = filters.ModelChoiceFilter(
        label="Servers",
        queryset=TwinComparison.objects.select_related("first", "second").order_by("pk"),
        empty_label="any",
    )
    kind = filters.ChoiceFilter(label="Difference", choices=TwinKind.choices, empty_label="any")
