"""Base of list pages: a queryset, its filters and its table, in five declarative lines (docs/pages.md: how to add one).

Paging, sorting, filters, empty states and the CSV export are here, for all lists.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.text import slugify
from django_filters.views import FilterView

from core.formatting import printable
from core.lists.csv_export import csv_response
from core.lists.filters import BaseFilterSet
from core.lists.paginator import BoundedPaginator
from core.lists.tables import BaseTable
from core.permissions import PermissionView

ROWS_PER_PAGE = 50


def not_exported(filterset: BaseFilterSet) -> HttpResponse:
    """What is answered to an export with an invalid filter: never all rows."""
    text = "\n".join(["Not exported: invalid filter.", *map(printable, filterset.problems), ""])
    return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")


class FilteredListView(PermissionView, FilterView):
    """Set `queryset`, `filterset_class`, `table_class`, `permission_required` and `title`; the rest has defaults."""

    table_class: ClassVar[type[BaseTable]]
    filterset_class: ClassVar[type[BaseFilterSet]]
    title: ClassVar[str]
    lead: ClassVar[str] = ""
    """A sentence under the title."""
    empty: ClassVar[str] = "Nothing yet."
    """What to do where there are no rows at all, commands in backquotes."""
    template_name = "list.html"

    def get(self, request: HttpRequest, **_path: Any) -> HttpResponse | StreamingHttpResponse:  # noqa: ANN401
        """The page, or with `?export=csv` the rows of all pages as a file; never a page instead of a file."""
        self.filterset = self.get_filterset(self.filterset_class)
        valid = not self.filterset.is_bound or self.filterset.is_valid()
        if "export" in request.GET and not valid:
            return not_exported(self.filterset)
        if request.GET.get("export") == "csv":
            # All rows and columns of the table, in its order, including columns that are not shown.
            table = self.table(self.filterset.qs)
            exported = [column for column in table.columns.all() if getattr(column.column, "exported", False)]
            columns = [(column.name, column.column.csv(str(column.accessor))) for column in exported]
            return csv_response(table.data.data, columns, slugify(self.get_title()))
        self.object_list = self.filterset.qs if valid else self.filterset.queryset.none()
        page: HttpResponse = self.render_to_response(self.get_context_data(filter=self.filterset))
        return page

    def table(self, rows: QuerySet[Any]) -> BaseTable:
        """The table of these rows, sorted by `?sort=`."""
        # Without the request: with it, django-tables2 would page, and count the whole table.
        return self.table_class(rows, order_by=self.request.GET.getlist("sort"))

    def get_title(self) -> str:
        """The title; also the name of the exported file."""
        return self.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """The requested page of the table."""
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
