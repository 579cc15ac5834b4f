"""Filters of list pages. A search by prefix is a range, which an index serves in every database."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from core.pasted import clean

LAST_CHARACTER = chr(0x10FFFF)
"""The last one in the order of bytes."""
PERIODS = {
    "hour": ("last hour", timedelta(hours=1)),
    "day": ("last 24 hours", timedelta(days=1)),
    "week": ("last 7 days", timedelta(days=7)),
    "month": ("last 30 days", timedelta(days=30)),
}


def prefix_lookup(field: str, text: str) -> dict[str, str]:
    """Lookups for `filter`: the field begins with the text. The field must sort by bytes (BytewiseCharField)."""
    return {f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER}


class BaseFilterSet(filters.FilterSet):
    """Base of every filter set. `more` names the filters that are collapsed until one of them is used."""

    more: tuple[str, ...] = ()

    def parts(self) -> list[QuerySet[Any]]:
        """The matching rows in disjoint parts, for a set with an OR that is counted faster by its sides."""
        return [self.qs]

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """Fields that are always shown."""
        return [self.form[name] for name in self.form.fields if name not in self.more]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Fields under "More filters"."""
        return [self.form[name] for name in self.form.fields if name in self.more]

    @property
    def more_open(self) -> bool:
        """Whether a field under "More filters" is used, or invalid."""
        return any(field.value() or field.errors for field in self.more_fields)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the filters, by label."""
        errors = self.form.errors if self.is_bound else {}
        return [
            f"{self.form.fields[name].label if name in self.form.fields else 'Filters'}: {' '.join(map(str, messages))}"
            for name, messages in errors.items()
        ]

    @property
    def active(self) -> list[tuple[str, str, str]]:
        """The filters in use: parameter, label and displayed value."""
        used = []
        for field in self.form:
            value = field.value()
            if not (value and self.is_bound) or field.errors:
                continue
            text = str(value)
            if isinstance(field.field, forms.DateTimeField):
                text = text.replace("T", " ")
            choices = getattr(field.field, "choices", ())
            label = next((str(label) for key, label in choices if str(key) == str(value)), text)
            used.append((field.html_name, str(field.label), label))
        return used


class PastedTextField(forms.CharField):
    """Text as people paste it: see `core.pasted`."""

    def to_python(self, value: Any) -> str:  # noqa: ANN401 - Django's
        """Without quotes around it and invisible characters."""
        return clean(super().to_python(value) or "")


class SearchFilter(filters.CharFilter):
    """A search box of a list."""

    field_class = PastedTextField


class PrefixFilter(SearchFilter):
    """Rows whose field begins with the text."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Filters by range."""
        return qs.filter(**prefix_lookup(self.field_name, value)) if value else qs


class ExactFilter(SearchFilter):
    """Rows whose field equals the text."""


class LocalTimeField(forms.DateTimeField):
    """A time in the viewer's zone, or with an offset. What can't be read gets a message that says why."""

    widget = forms.DateTimeInput({"type": "datetime-local"})
    default_error_messages = {"invalid": "Not a valid time; use 2026-01-31 18:25."}

    def to_python(self, value: Any) -> datetime | None:  # noqa: ANN401 - Django's
        """Django's, with our messages."""
        try:
            when = super().to_python(value)
        except forms.ValidationError as error:
            if error.code != "ambiguous_timezone":
                raise
            local, zone = (error.params or {})["datetime"], timezone.get_current_timezone()
            # A time that never is becomes another one on the way through UTC.
            exists = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local
            what = f"{'occurs twice' if exists else 'does not exist'} in {timezone.get_current_timezone_name()}"
            text = f"{local:%Y-%m-%d %H:%M} {what}, as clocks change; use a time before or after."
            raise forms.ValidationError(text, code=error.code) from error
        # The first and last years are beyond what Python knows, in another zone.
        if when and not MINYEAR < when.year < MAXYEAR:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return when


class AfterFilter(filters.DateTimeFilter):
    """Rows from a time on."""

    field_class = LocalTimeField

    def __init__(self, field_name: str, label: str = "From") -> None:
        super().__init__(field_name, "gte", label=label)


class BeforeFilter(filters.DateTimeFilter):
    """Rows before a time."""

    field_class = LocalTimeField

    def __init__(self, field_name: str, label: str = "Until") -> None:
        super().__init__(field_name, "lt", label=label)


class RecentFilter(filters.ChoiceFilter):
    """Rows of the last hour, day, week or month."""

    def __init__(self, field_name: str, label: str = "When") -> None:
        choices = [(key, period_label) for key, (period_label, _) in PERIODS.items()]
        super().__init__(field_name, label=label, choices=choices, empty_label="any time")

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Counts back from now."""
        return qs.filter(**{f"{self.field_name}__gte": timezone.now() - PERIODS[value][1]}) if value else qs
