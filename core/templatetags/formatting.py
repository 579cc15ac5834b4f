"""Filters and tags for times, numbers and links (`{% load formatting %}`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.http import QueryDict
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.concerns import Concern
from core.formatting import format_age, format_duration

register = template.Library()

NONE = "–"  # noqa: RUF001 - an en dash


@register.filter
def number(value: float | None) -> str:
    """`12,345`; a dash for unknown."""
    return NONE if value is None else f"{value:,}"


@register.filter
def compact(value: float) -> str:
    """A number for the scale of a chart: `1.5 k`, `20 M`, `0.5`."""
    for size, letter in ((1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (size if size > 1e4 else 1e3):g}{letter}"
    return f"{value:,g}"


FORMS = {"full": "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "clock": "%H:%M"}
"""Formats of a time; static/site.js has the same."""


@register.filter
def local_time(when: datetime | None, form: str = "full") -> str:
    """A time in the viewer's zone, with the exact time on hover; a dash for none."""
    if when is None:
        return NONE
    return format_html(
        '<time datetime="{}" title="{}" data-form="{}">{}</time>',
        when.isoformat(timespec="seconds"),
        f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC",
        form,
        timezone.localtime(when).strftime(FORMS[form]),
    )


@register.filter
def code_spans(text: str) -> str:
    """A text with what is in backquotes as code."""
    parts = [("<code>{}</code>" if odd % 2 else "{}", part) for odd, part in enumerate(text.split("`"))]
    return format_html("".join(form for form, _ in parts), *(part for _, part in parts))


@register.filter
def without_param(query: QueryDict, name: str) -> QueryDict:
    """The parameters of a URL without one of them and without the page."""
    remaining = query.copy()
    for parameter in (name, "page"):
        remaining.pop(parameter, None)
    return remaining


@register.filter
def duration(value: datetime | timedelta | None) -> str:
    """A duration (`01:05:09`, hours may exceed 24), or the time since then (`5 minutes`)."""
    if value is None:
        return NONE
    if isinstance(value, timedelta):
        return format_duration(max(value, timedelta()))
    return format_age(value)


@register.filter
def ago(when: datetime | None) -> str:
    """The time since then: `5 minutes ago`, `just now`."""
    if when is None:
        return NONE
    age = format_age(when)
    return "just now" if age == format_age(timezone.now()) else f"{age} ago"


@register.simple_tag(takes_context=True)
def concern_link(context: Context, concern: Concern) -> str | SafeString:
    """A link to the page of a concern; empty for a user who may not open it."""
    user = context.get("user")
    url = concern.link.url_for(user) if concern.link and user else None
    return format_html('<a href="{}">{}</a>', url, concern.link.label) if concern.link and url else ""
