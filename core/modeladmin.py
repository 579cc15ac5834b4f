"""Base classes of the admin, for all apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from unfold import admin as theme

from core.lists.paginator import BoundedPaginator

# The theme's classes extend Django's; the type checker sees Django's.
if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = theme.ModelAdmin
    AnyInline = theme.TabularInline


class ReadOnlyAdmin(AnyAdmin):
    """Rows that programs write: nobody adds, changes or deletes them by hand. Big tables are not counted completely."""

    show_full_result_count = False
    list_per_page = 50
    paginator = BoundedPaginator
    list_max_show_all = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - any row
        return False
