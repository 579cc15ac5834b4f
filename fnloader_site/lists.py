"""A list page: a queryset, its filters and its table, five declarative lines (docs/pages.md says how to add one).

Paging, sorting, filters, empty states and the CSV export are here, once for all lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.text import slugify
from django_filters.views import FilterView

from fnloader_site.columns import Table
from fnloader_site.export import csv_response
from fnloader_site.filtering import Filters

# Paginator takes its type in brackets only while it is checked.
if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

COUNTED = 100_000
"""A longer list pages without a total, and ends here: counting it would take longer than reading it."""
ROWS = 50


class BoundedPaginator(AnyPaginator):
    """Pages of a queryset, or of a table's rows; `more` says that there are more than were counted."""

    parts: Sequence[QuerySet[Any]] = ()
    """The same rows in parts that have none in common, if they are counted faster one by one."""

    @cached_property
    def count(self) -> int:
        """Rows, COUNTED at the most."""
        return min(self._found, COUNTED)

    @property
    def more(self) -> bool:
        """Whether the list goes on behind its last page."""
        return self._found > COUNTED

    @cached_property
    def _found(self) -> int:
        given: Any = self.object_list
        rows: QuerySet[Any] = given if isinstance(given, QuerySet) else given.data.data
        found = 0
        for part in self.parts or (rows,):
            found += part.order_by()[: COUNTED + 1 - found].count()
            if found > COUNTED:
                break
        return found


class Guarded(PermissionRequiredMixin):
    """A page for who has its permission; who is logged in without it is told which it is."""

    def get_permission_denied_message(self) -> str:
        """For the 403 page."""
        return f"This page needs the permission {self.permission_required}."


class ListPage(Guarded, FilterView):
    """Set `queryset`, `filterset_class`, `table_class`, `permission_required` and `title`; the rest has defaults."""

    table_class: ClassVar[type[Table]]
    filterset_class: ClassVar[type[Filters]]
    title: ClassVar[str]
    lead: ClassVar[str] = ""
    """One sentence under the title."""
    empty: ClassVar[str] = "Nothing yet."
    """What to do next where there are no rows at all. Backquotes make code of a command."""
    template_name = "list.html"

    def get(self, request: HttpRequest, **_path: Any) -> HttpResponse | StreamingHttpResponse:  # noqa: ANN401
        """The page, or with `?export=csv` the same rows as a file."""
        self.filterset = self.get_filterset(self.filterset_class)
        valid = not self.filterset.is_bound or self.filterset.is_valid()
        if request.GET.get("export") == "csv" and valid:
            return self.export(self.table(self.filterset.qs))
        self.object_list = self.filterset.qs if valid else self.filterset.queryset.none()
        page: HttpResponse = self.render_to_response(self.get_context_data(filter=self.filterset))
        return page

    def table(self, rows: QuerySet[Any]) -> Table:
        """The rows, sorted as `?sort=` says."""
        # Without the request: given it, django-tables2 pages by itself, with a count of the whole table.
        return self.table_class(rows, order_by=self.request.GET.getlist("sort"))

    def export(self, table: Table) -> StreamingHttpResponse:
        """All rows of the table, in its order, with all its columns, also those that are not shown."""
        bound = [column for column in table.columns.all() if getattr(column.column, "exported", False)]
        columns = [(column.name, column.column.csv(str(column.accessor))) for column in bound]
        return csv_response(table.data.data, columns, slugify(self.get_title()))

    def get_title(self) -> str:
        """The title; also the name of the exported file."""
        return self.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """The page of the table that is asked for."""
        table = self.table(self.object_list)
        paginator = BoundedPaginator(table.rows, ROWS)
        paginator.parts = self.filterset.parts() if self.filterset.is_valid() else ()
        table.page, table.paginator = paginator.get_page(self.request.GET.get("page")), paginator
        return {
            **super().get_context_data(object_list=self.object_list, **kwargs),
            "table": table,
            "page": table.page,
            "title": self.get_title(),
            "lead": self.lead,
            "empty": self.empty,
        }
