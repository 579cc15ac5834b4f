"""A list page: a queryset, its filters and its table, five declarative lines (docs/pages.md says how to add one).

Paging, sorting, filters, empty states and the CSV export are here, once for all lists.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.text import slugify
from django_filters.views import FilterView

from core.lists.csv_export import csv_response
from core.lists.filters import BaseFilterSet
from core.lists.paginator import BoundedPaginator
from core.lists.tables import BaseTable
from core.permissions import PermissionView

ROWS_PER_PAGE = 50


class FilteredListView(PermissionView, FilterView):
    """Set `queryset`, `filterset_class`, `table_class`, `permission_required` and `title`; the rest has defaults."""

    table_class: ClassVar[type[BaseTable]]
    filterset_class: ClassVar[type[BaseFilterSet]]
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

    def table(self, rows: QuerySet[Any]) -> BaseTable:
        """The rows, sorted as `?sort=` says."""
        # Without the request: given it, django-tables2 pages by itself, with a count of the whole table.
        return self.table_class(rows, order_by=self.request.GET.getlist("sort"))

    def export(self, table: BaseTable) -> StreamingHttpResponse:
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
        paginator = BoundedPaginator(table.rows, ROWS_PER_PAGE)
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
