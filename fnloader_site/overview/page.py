"""The overview: what needs attention, what is running, and since when. Each section has a module of its own.

Everything here only reads. Lists are short, and tables that grow are counted by index only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.charts import Chart
from core.concerns import Concern, Level, worst_first
from core.formatting import pluralize
from fnloader_site.monitoring.concerns import alarm_concerns, job_concerns
from fnloader_site.overview.batches import BatchesSection, batches_section
from fnloader_site.overview.entries import RunningTask
from fnloader_site.overview.loader import LoaderSection, loader_section


@dataclass(frozen=True)
class Overview:
    """The overview of one user; a section that is None is hidden from them."""

    read_at: datetime
    loader: LoaderSection | None
    batches: BatchesSection | None
    concerns: list[Concern] = field(default_factory=list)
    running: list[RunningTask] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        """The last 24 hours, of both sections."""
        return [chart for section in (self.loader, self.batches) if section for chart in section.charts]

    @property
    def summary(self) -> str:
        """All concerns in one line."""
        errors = sum(concern.level is Level.ERROR for concern in self.concerns)
        counts = {"error": errors, "warning": len(self.concerns) - errors}
        return ", ".join(pluralize(number, level) for level, number in counts.items() if number) or "All clear"


def read_overview(now: datetime, *, loader: bool, batches: bool) -> Overview:
    """Reads the sections that are asked for, worst concerns first."""
    loader_part = loader_section(now) if loader else None
    batches_part = batches_section(now) if batches else None
    sections = [section for section in (loader_part, batches_part) if section]
    site = [*job_concerns(), *alarm_concerns()]
    return Overview(
        now,
        loader_part,
        batches_part,
        worst_first([*site, *(concern for section in sections for concern in section.concerns)]),
        [task for section in sections for task in section.running],
    )
