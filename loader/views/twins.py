"""Servers that should hold the same samples: their last comparisons, the samples that differ, and a new comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.views.generic import FormView

from core.actions import JOBS_NOTE
from core.audit import log_action
from core.exceptions import OperationRefused
from core.jobs.queueing import queue_job
from core.lists.views import FilteredListView
from core.permissions import PermissionView
from loader.filters import TwinFindingFilterSet
from loader.models import Server, TwinComparison, TwinFinding
from loader.tables import TwinFindingTable

MAX_COMPARISONS = 20
"""Comparisons that are shown above the list, newest first."""

# It accepts type arguments only in its stubs.
if TYPE_CHECKING:
    AnyFormView = FormView[forms.Form]
else:
    AnyFormView = FormView


class TwinListView(FilteredListView):
    """The samples that differed when servers were last compared."""

    queryset = TwinFinding.objects.select_related("comparison__first", "comparison__second").order_by(
        "comparison", "kind", "pk"
    )
    filterset_class = TwinFindingFilterSet
    table_class = TwinFindingTable
    permission_required = "loader.view_feed"
    template_name = "loader/twins.html"
    title = "Twins"
    lead = "Servers that should hold the same samples, and the samples on which they differed in their last comparison."
    empty = (
        "No differences. Servers that share a store are compared every night. Now: `python manage.py feed compare A B`"
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """With the newest comparisons."""
        rows = TwinComparison.objects.select_related("first", "second").order_by("-at", "-pk")
        return super().get_context_data(**kwargs) | {"comparisons": rows[:MAX_COMPARISONS]}


class TwinForm(forms.Form):
    """Two servers."""

    first = forms.ModelChoiceField(Server.objects.order_by("identity"), label="First server", empty_label=None)
    second = forms.ModelChoiceField(Server.objects.order_by("identity"), label="Second server", empty_label=None)

    def clean(self) -> dict[str, Any]:
        """They must be two."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("first") and data.get("first") == data.get("second"):
            raise forms.ValidationError("Choose two different servers.")
        return data


class CompareServersView(PermissionView, AnyFormView):
    """Queues a comparison of two servers."""

    permission_required = "loader.change_feed"
    form_class = TwinForm
    template_name = "action.html"
    success_url = reverse_lazy("loader:twins")
    title = "Compare servers"

    def get_initial(self) -> dict[str, Any]:
        """The servers of a comparison that is to be made again, else the first two."""
        names = ("first", "second")
        asked = {name: self.request.GET[name] for name in names if name in self.request.GET}
        return asked or dict(zip(names, Server.objects.order_by("identity")[:2], strict=False))

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Queues the job."""
        first, second = form.cleaned_data["first"], form.cleaned_data["second"]
        try:
            queue_job("loader.tasks.compare_servers", first.pk, second.pk)
        except OperationRefused as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        result = f"Comparison of {first} and {second} queued."
        log_action(self.request, [first, second], f"{self.title}: {result}")
        messages.success(self.request, result)
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """The context of action.html."""
        description = (
            "A job lists the samples of both servers and compares them, also which have too many N. Nothing is changed; "
            f"differences appear on the page Twins. {JOBS_NOTE}"
        )
        own = {
            "title": self.title,
            "object": "Twins",
            "description": description,
            "danger": False,
            "back": self.success_url,
        }
        return super().get_context_data(**kwargs) | own
