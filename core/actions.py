"""Buttons that change something: a page describes the action and asks, a POST performs it, and the audit trail records it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.generic import FormView
from django.views.generic.detail import SingleObjectMixin

from core.audit import log_action
from core.exceptions import OperationRefused
from core.permissions import PermissionView
from objectstores.base import StoreError

# They accept type arguments only in their stubs.
if TYPE_CHECKING:
    AnyFormView = FormView[forms.Form]
    AnyObjectMixin = SingleObjectMixin[Any]
else:
    AnyFormView, AnyObjectMixin = FormView, SingleObjectMixin

JOBS_NOTE = "Background jobs do this: `python manage.py qcluster` must be running."


class ConfirmedActionView(PermissionView, AnyObjectMixin, AnyFormView):
    """One action on one row. A subclass finds the row, describes the action, and performs it.

    A GET never writes: `describe` only counts. A refusal is shown on the page that `get_success_url` names.
    """

    title: ClassVar[str]
    """Also the label of the button."""
    danger: ClassVar[bool] = False
    """Whether it deletes something."""
    form_class = forms.Form
    template_name = "action.html"

    def describe(self) -> str:
        """What will happen, in a sentence or two, commands in backquotes. Raises OperationRefused or StoreError."""
        raise NotImplementedError

    def perform(self, form: Any) -> str:  # noqa: ANN401 - a form of the subclass
        """Performs it and returns the result as a sentence. Raises OperationRefused or StoreError."""
        raise NotImplementedError

    @property
    def who(self) -> str:
        """The user's name for histories."""
        return self.request.user.get_username()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
        """Shows a refusal on the page that the button is on."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except (OperationRefused, StoreError) as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.get_success_url())

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401
        """Describes it and asks."""
        self.object = self.get_object()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401
        """Performs it, if the form is valid."""
        self.object = self.get_object()
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Performs it."""
        result = self.perform(form)
        log_action(self.request, [self.object], f"{self.title}: {result}")
        messages.success(self.request, result)
        return super().form_valid(form)

    def form_invalid(self, form: forms.Form) -> HttpResponse:
        """Shows the errors."""
        return self.render_to_response(self.get_context_data(form=form), status=400)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """The context of action.html."""
        return super().get_context_data(**kwargs) | {
            "title": self.title,
            "description": self.describe(),
            "danger": self.danger,
            "back": self.get_success_url(),
        }
