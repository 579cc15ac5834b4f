"""Filters of list pages. A search by the beginning of a name is a range, which an index serves in every database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import QuerySet
from django.utils import timezone

LAST = chr(0x10FFFF)
"""No text begins behind this letter, in the order of bytes."""
PERIODS = {
    "hour": ("last hour", timedelta(hours=1)),
    "day": ("last 24 hours", timedelta(days=1)),
    "week": ("last 7 days", timedelta(days=7)),
    "month": ("last 30 days", timedelta(days=30)),
}


def begins(field: str, text: str) -> dict[str, str]:
    """Conditions of a filter: the field begins with that text. The field must sort bytewise (BytewiseCharField)."""
    return {f"{field}__gte": text, f"{field}__lt": text + LAST}


class BaseFilterSet(filters.FilterSet):
    """Base of every filter set. `more` names those that are folded away until one of them is used."""

    more: tuple[str, ...] = ()

    def parts(self) -> list[QuerySet[Any]]:
        """The rows that are found, in parts that have none in common: where an OR is counted faster by its sides, these."""
        return [self.qs]

    @property
    def shown(self) -> list[forms.BoundField]:
        """Fields that are always there."""
        return [self.form[name] for name in self.form.fields if name not in self.more]

    @property
    def folded(self) -> list[forms.BoundField]:
        """Fields behind "more"."""
        return [self.form[name] for name in self.form.fields if name in self.more]

    @property
    def unfolded(self) -> bool:
        """Whether one of the folded fields is used, or wrong."""
        return any(field.value() or field.errors for field in self.folded)

    @property
    def active(self) -> list[tuple[str, str, str]]:
        """What is filtered by: name of the parameter, label, and value as its reader knows it."""
        return [
            (field.html_name, str(field.label), _said(field))
            for field in self.form
            if field.value() and not field.errors and self.is_bound
        ]


class PrefixFilter(filters.CharFilter):
    """Rows whose field begins with the text."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """By range."""
        return qs.filter(**begins(self.field_name, value)) if value else qs


class ExactFilter(filters.CharFilter):
    """Rows whose field is the text."""


class AfterFilter(filters.DateTimeFilter):
    """Rows from a moment on."""

    def __init__(self, field_name: str, label: str = "From") -> None:
        super().__init__(field_name, "gte", label=label, widget=forms.DateTimeInput({"type": "datetime-local"}))


class BeforeFilter(filters.DateTimeFilter):
    """Rows before a moment."""

    def __init__(self, field_name: str, label: str = "Until") -> None:
        super().__init__(field_name, "lt", label=label, widget=forms.DateTimeInput({"type": "datetime-local"}))


class RecentFilter(filters.ChoiceFilter):
    """Rows of the last hour, day, week or month."""

    def __init__(self, field_name: str, label: str = "When") -> None:
        choices = [(key, said) for key, (said, _) in PERIODS.items()]
        super().__init__(field_name, label=label, choices=choices, empty_label="any time")

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Reckoned from now."""
        return qs.filter(**{f"{self.field_name}__gte": timezone.now() - PERIODS[value][1]}) if value else qs


def _said(field: forms.BoundField) -> str:
    value = field.value()
    choices = getattr(field.field, "choices", None)
    if choices is None:
        return str(value).replace("T", " ") if isinstance(field.field, forms.DateTimeField) else str(value)
    return next((str(label) for key, label in choices if str(key) == str(value)), str(value))
