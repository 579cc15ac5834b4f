"""Base classes of the admin, for all apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import DatabaseError, connections
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django_q import admin as _django_q_admin  # noqa: F401 - see below
from unfold import admin as theme
from unfold.views import ChangeList

from core.lists.paginator import BoundedPaginator

# The theme's classes extend Django's; the type checker sees Django's.
if TYPE_CHECKING:
    ThemedAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    ThemedAdmin = theme.ModelAdmin
    AnyInline = theme.TabularInline


class CheckedChangeList(ChangeList):  # type: ignore[misc]  # the theme has no types
    """A list whose URL may hold any filter and any value: what the database can't look up is an invalid filter."""

    def get_results(self, request: HttpRequest) -> None:
        """Raises IncorrectLookupParameters, of which Django makes a page without filters."""
        try:
            super().get_results(request)
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise IncorrectLookupParameters(str(error)) from error
        except DatabaseError as error:
            if not connections[self.root_queryset.db].is_usable():
                raise
            raise IncorrectLookupParameters(str(error)) from error


class AnyAdmin(ThemedAdmin):
    """Base of every page of a model: whatever stands in its URL or its form, it is a page and no error of the site."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:  # noqa: ANN401 - Django's
        return CheckedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """No regular expressions: one can keep a database or a process busy for hours."""
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:  # type: ignore[override]
        """Refuses keys of rows that can't be any."""
        key = self.opts.pk
        try:
            for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.run_validators(key.to_python(text))
        except ValidationError as error:
            raise SuspiciousOperation("A selected row has no valid key.") from error
        return super().response_action(request, queryset)


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
