"""The overview: is anything wrong, what runs now, since when. Each half is built by its own module, for who may see it.

Everything here reads; nothing is changed by looking. Lists are short, and no table that grows is counted but by index.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.charts import Chart
from core.concerns import Concern, Level, worst_first
from core.formatting import pluralize
from fnloader_site.monitoring.concerns import alarm_concerns, job_concerns
from fnloader_site.overview.batches import BatchesSection, batches_section
from fnloader_site.overview.entries import Running
from fnloader_site.overview.loader import LoaderSection, loader_section


@dataclass(frozen=True)
class Overview:
    """What one user may see; a half that is None is not for them."""

    asked_at: datetime
    loader: LoaderSection | None
    batches: BatchesSection | None
    concerns: list[Concern] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        """The last 24 hours, of both halves."""
        return [chart for half in (self.loader, self.batches) if half for chart in half.charts]

    @property
    def verdict(self) -> str:
        """All concerns in one line."""
        wrong = sum(concern.level is Level.BAD for concern in self.concerns)
        parts = (
            (f"{pluralize(wrong, 'thing')} wrong", wrong),
            (f"{len(self.concerns) - wrong} to look at", len(self.concerns) - wrong),
        )
        return ", ".join(text for text, number in parts if number) or "Nothing needs a person"


def overview(asked_at: datetime, *, loader: bool, batches: bool) -> Overview:
    """Reads the halves that are asked for, worst concerns first."""
    first = loader_section(asked_at) if loader else None
    second = batches_section(asked_at) if batches else None
    halves = [half for half in (first, second) if half]
    site = [*job_concerns(), *alarm_concerns()]
    return Overview(
        asked_at,
        first,
        second,
        worst_first([*site, *(concern for half in halves for concern in half.concerns)]),
        [running for half in halves for running in half.running],
    )
