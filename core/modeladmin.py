"""What the admins of all apps are built of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from unfold import admin as theme

from core.lists.paginator import BoundedPaginator

# The theme's classes are Django's with more; for the checker they are Django's.
if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = theme.ModelAdmin
    AnyInline = theme.TabularInline


class ReadOnlyAdmin(AnyAdmin):
    """Rows that machines write: nobody adds, changes or deletes them by hand. Big tables are not counted whole."""

    show_full_result_count = False
    list_per_page = 50
    paginator = BoundedPaginator
    list_max_show_all = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        """Nobody may."""
        return False
