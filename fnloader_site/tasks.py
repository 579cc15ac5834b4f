"""The site's own background job."""

from __future__ import annotations

from fnloader_site import alarms as core
from fnloader_site.concerns import all_concerns
from fnloader_site.jobs import job
from fnloader_site.overview import many


@job
def alarms() -> str:
    """Notes what came up and what is over, and tells every channel; scheduled every minute."""
    noted = core.note(all_concerns())
    told = core.deliver()
    said = f"{many(noted.up, 'alarm')} up, {noted.raised} new, {noted.recovered} over"
    return "; ".join([said, *(f"{channel}: {what}" for channel, what in told.items())])
