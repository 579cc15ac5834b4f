"""Buttons that change something: one page asks and says what will happen, a POST does it, and the audit trail says who did."""

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

# They take their types in brackets only while they are checked.
if TYPE_CHECKING:
    AnyFormView = FormView[forms.Form]
    AnyObjectMixin = SingleObjectMixin[Any]
else:
    AnyFormView, AnyObjectMixin = FormView, SingleObjectMixin

JOBS_NOTE = "The background jobs do it: `python manage.py qcluster` must run."


class ConfirmedActionView(PermissionView, AnyObjectMixin, AnyFormView):
    """One thing that can be done to one row. A subclass says how to find the row, what will happen, and does it.

    A GET never writes: `describe` only counts. What the core or the store refuses is told on the page that it leads back to.
    """

    title: ClassVar[str]
    """Also the words on the button."""
    danger: ClassVar[bool] = False
    """It deletes something."""
    form_class = forms.Form
    template_name = "action.html"

    def describe(self) -> str:
        """What will happen, in a sentence or two. Commands stand in backquotes. Raises OperationRefused or StoreError."""
        raise NotImplementedError

    def perform(self, form: Any) -> str:  # noqa: ANN401 - a form of the subclass
        """Calls the core, and returns what came of it. Raises OperationRefused or StoreError."""
        raise NotImplementedError

    @property
    def who(self) -> str:
        """As whom it stands in histories."""
        return self.request.user.get_username()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
        """Tells what can't be done now where it came from."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except (OperationRefused, StoreError) as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.get_success_url())

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401
        """Asks."""
        self.object = self.get_object()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401
        """Does it, if the form is valid."""
        self.object = self.get_object()
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Does it."""
        done = self.perform(form)
        log_action(self.request, [self.object], f"{self.title}: {done}")
        messages.success(self.request, done)
        return super().form_valid(form)

    def form_invalid(self, form: forms.Form) -> HttpResponse:
        """Asks again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """What action.html shows."""
        return super().get_context_data(**kwargs) | {
            "title": self.title,
            "description": self.describe(),
            "danger": self.danger,
            "back": self.get_success_url(),
        }
