"""The site's own background job."""

from __future__ import annotations

from core.alarms import notifications as core
from core.formatting import pluralize
from core.jobs.decorator import job
from fnloader_site.monitoring.concerns import all_concerns


@job
def alarms() -> str:
    """Notes what came up and what is over, and tells every channel; scheduled every minute."""
    noted = core.record_changes(all_concerns())
    told = core.deliver()
    said = f"{pluralize(noted.up, 'alarm')} up, {noted.raised} new, {noted.recovered} over"
    return "; ".join([said, *(f"{channel}: {what}" for channel, what in told.items())])
