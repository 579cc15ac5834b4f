"""Pages of a long list, whose rows are counted only up to a limit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import QuerySet

# Paginator accepts type arguments only in its stubs.
if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

MAX_COUNT = 100_000
"""A longer list has no total and ends here: counting it would take longer than reading it."""


class BoundedPaginator(AnyPaginator):
    """Pages of a queryset, or of a table's rows; `more` says whether there are more rows than MAX_COUNT."""

    parts: Sequence[QuerySet[Any]] = ()
    """The same rows in disjoint parts, if those are counted faster."""

    @cached_property
    def count(self) -> int:
        """Number of rows, at most MAX_COUNT."""
        return min(self._counted, MAX_COUNT)

    @property
    def more(self) -> bool:
        """Whether there are rows after the last page."""
        return self._counted > MAX_COUNT

    @cached_property
    def _counted(self) -> int:
        source: Any = self.object_list
        rows: QuerySet[Any] = source if isinstance(source, QuerySet) else source.data.data
        number = 0
        for part in self.parts or (rows,):
            number += part.order_by()[: MAX_COUNT + 1 - number].count()
            if number > MAX_COUNT:
                break
        return number
