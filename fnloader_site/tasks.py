"""The site's own background job."""

from __future__ import annotations

from core.alarms import notifications
from core.formatting import pluralize
from core.jobs.decorator import job
from fnloader_site.monitoring.concerns import all_concerns


@job
def alarms() -> str:
    """Records which alarms came up and which are resolved, and sends them to every channel; scheduled every minute."""
    changes = notifications.record_changes(all_concerns())
    results = notifications.deliver()
    summary = f"{pluralize(changes.up, 'alarm')} up, {changes.raised} new, {changes.recovered} resolved"
    return "; ".join([summary, *(f"{channel}: {result}" for channel, result in results.items())])
