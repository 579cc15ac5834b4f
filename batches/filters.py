"""Filters of the batches' list pages."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet

from batches.choices import Action, BatchStatus, IngestOutcome, UploadOutcome
from batches.corrections.status import FAILED_PARTS, batches_with_open, with_corrected_in
from batches.keys import InvalidKey, decode, digest
from batches.models import Batch, BatchTag
from batches.querysets import NEXT_STEP, identifier_lookups
from core.lists.filters import AfterFilter, BaseFilterSet, BeforeFilter, RecentFilter, SearchFilter, prefix_lookup

NEXT_STEPS = [("upload", "upload"), ("ingstat", "check"), ("none", "none: ingested")]
ARCHIVED_FILTERS = {"only": Q(archived_at__isnull=False), "too": Q()}


def _tags() -> list[tuple[str, str]]:
    return [(name, name) for name in BatchTag.objects.order_by("name").values_list("name", flat=True).distinct()]


class BatchFilterSet(BaseFilterSet):
    """Filters of all batches; archived ones are hidden by default."""

    q = SearchFilter(label="Id or record type", method="search")
    step = filters.ChoiceFilter(label="Next step", choices=NEXT_STEPS, empty_label="any", method="filter_next_step")
    errors = filters.ChoiceFilter(
        label="Errors",
        choices=[("1", "some records failed"), ("open", "some are still open")],
        empty_label="any",
        method="filter_errors",
    )
    when = RecentFilter("added_at", label="Added")
    status = filters.ChoiceFilter(label="Status", choices=BatchStatus.choices, empty_label="any")
    action = filters.ChoiceFilter(label="Action", choices=Action.choices, empty_label="any")
    rectype = filters.AllValuesFilter(label="Record type", empty_label="any")
    tag = filters.ChoiceFilter("tags__name", label="Tag", choices=_tags, empty_label="any")
    archived = filters.ChoiceFilter(
        label="Archived",
        choices=[("only", "only archived"), ("too", "included")],
        empty_label="hidden",
        method="filter_archived",
    )
    since = AfterFilter("added_at", label="Added from")
    until = BeforeFilter("added_at", label="Added until")
    more = ("status", "action", "rectype", "tag", "archived", "since", "until")

    class Meta:
        model = Batch
        fields: tuple[str, ...] = ()

    @property
    def qs(self) -> QuerySet[Batch]:
        """Without archived batches, unless the filter asks for them."""
        rows: QuerySet[Batch] = super().qs
        wanted = self.is_bound and self.form.is_valid() and self.form.cleaned_data["archived"]
        return rows if wanted else rows.filter(archived_at=None)

    def search(self, rows: QuerySet[Any], _name: str, text: str) -> QuerySet[Any]:
        """By prefix of the id or of the record type."""
        return rows.filter(Q(**prefix_lookup("bid", text)) | Q(rectype__istartswith=text))

    def filter_next_step(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """As `batch list --next`."""
        return rows.filter(NEXT_STEP[value])

    def filter_errors(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Batches with errors in any step; open: as `batch list --open`."""
        if value == "open":
            return batches_with_open(rows).filter(open_records__gt=0)
        return rows.filter(Q(map_errs__gt=0) | Q(upload_errs__gt=0) | Q(ingest_errs__gt=0))

    def filter_archived(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Only archived batches, or archived ones, too."""
        return rows.filter(ARCHIVED_FILTERS[value])


class RateFilterSet(BaseFilterSet):
    """Batches whose rate is known."""

    q = SearchFilter(label="Id or record type", method="search")
    rectype = filters.AllValuesFilter(label="Record type", empty_label="any")
    action = filters.ChoiceFilter(label="Action", choices=Action.choices, empty_label="any")
    when = RecentFilter("ingest_done_at", label="Ended")
    records = filters.NumberFilter("ingest_oks", label="Records, at least", lookup_expr="gte", min_value=0)
    tag = filters.ChoiceFilter("tags__name", label="Tag", choices=_tags, empty_label="any")
    since = AfterFilter("ingest_done_at", label="Ended from")
    until = BeforeFilter("ingest_done_at", label="Ended until")
    more = ("records", "tag", "since", "until")

    class Meta:
        model = Batch
        fields: tuple[str, ...] = ()

    def search(self, rows: QuerySet[Any], _name: str, text: str) -> QuerySet[Any]:
        """As in the list of batches."""
        return rows.filter(Q(**prefix_lookup("bid", text)) | Q(rectype__istartswith=text))


class RecordFilterSet(BaseFilterSet):
    """Records of one batch: each filter uses an index that begins with the batch."""

    q = SearchFilter(label="Identifier or key", method="search")
    ingest = filters.ChoiceFilter(
        "ingest_outcome", label="Ingest", choices=IngestOutcome.choices, empty_label="any", null_label="no result yet"
    )
    upload = filters.ChoiceFilter("upload_outcome", label="Upload", choices=UploadOutcome.choices, empty_label="any")
    failed = filters.ChoiceFilter(
        label="Failed",
        choices=[("open", "still open"), ("corrected", "corrected since"), ("retried", "tried again and again")],
        empty_label="any",
        method="filter_failed",
    )

    def filter_failed(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Records that failed in any step, by whether a later batch corrected them; and those that are tried for ever."""
        if value == "retried":
            return rows.filter(retry_sign__isnull=False)
        failed = rows.filter(reduce(or_, FAILED_PARTS))
        return with_corrected_in(failed).filter(corrected_in__isnull=value == "open")

    def search(self, rows: QuerySet[Any], _name: str, text: str) -> QuerySet[Any]:
        """A key by its digest, otherwise the prefix of an identifier by range."""
        try:
            decode(text)
        except InvalidKey:
            return rows.filter(reduce(or_, identifier_lookups(text).values()))
        return rows.filter(key_digest=digest(text))
