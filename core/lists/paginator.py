"""Pages of a long list, whose total is counted only as far as it is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import QuerySet

# Paginator takes its type in brackets only while it is checked.
if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

LARGEST_COUNT = 100_000
"""A longer list pages without a total, and ends here: counting it would take longer than reading it."""


class BoundedPaginator(AnyPaginator):
    """Pages of a queryset, or of a table's rows; `more` says that there are more than were counted."""

    parts: Sequence[QuerySet[Any]] = ()
    """The same rows in parts that have none in common, if they are counted faster one by one."""

    @cached_property
    def count(self) -> int:
        """Rows, COUNTED at the most."""
        return min(self._found, LARGEST_COUNT)

    @property
    def more(self) -> bool:
        """Whether the list goes on behind its last page."""
        return self._found > LARGEST_COUNT

    @cached_property
    def _found(self) -> int:
        given: Any = self.object_list
        rows: QuerySet[Any] = given if isinstance(given, QuerySet) else given.data.data
        found = 0
        for part in self.parts or (rows,):
            found += part.order_by()[: LARGEST_COUNT + 1 - found].count()
            if found > LARGEST_COUNT:
                break
        return found
