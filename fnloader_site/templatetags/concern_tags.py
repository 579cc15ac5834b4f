"""`{% load concern_tags %}`: where a concern leads to."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.concerns import Concern
from fnloader_site.overview.concern_links import concern_link

register = template.Library()


@register.simple_tag(takes_context=True)
def more_link(context: Context, concern: Concern) -> str | SafeString:
    """A link to where a concern is shown and put right, for who may go there; else nothing."""
    user = context.get("user")
    found = concern_link(concern, user) if user else None
    return format_html('<a href="{}">{}</a>', found.url, found.label) if found else ""
