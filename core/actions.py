"""Buttons that change something: one page asks and says what will happen, a POST does it, and the audit trail says who did."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.generic import View

from core.audit import log_action
from core.exceptions import OperationRefused
from core.permissions import PermissionView


class ConfirmedActionView(PermissionView, View):
    """One thing that can be done to one row. A subclass says how to find the row, what will happen, and does it."""

    title: ClassVar[str]
    """Also the words on the button."""
    danger: ClassVar[bool] = False
    """It deletes something."""
    form_class: ClassVar[type[forms.Form]] = forms.Form

    def find(self) -> Any:  # noqa: ANN401 - any row
        """The row that the address names; raises Http404."""
        raise NotImplementedError

    def what(self, row: Any) -> str:  # noqa: ANN401
        """What will happen, in a sentence or two. Commands stand in backquotes. Raises Refused for what can't be done now."""
        raise NotImplementedError

    def do(self, row: Any, form: forms.Form) -> str:  # noqa: ANN401
        """Calls the core, and returns what came of it. Raises Refused."""
        raise NotImplementedError

    def back(self, row: Any) -> str:  # noqa: ANN401
        """Where to go then."""
        raise NotImplementedError

    def get(self, _request: HttpRequest, **_path: Any) -> HttpResponse:  # noqa: ANN401
        """Asks; what can't be done now is said at once."""
        row = self.find()
        try:
            return self._ask(row, self.form_class())
        except OperationRefused as error:
            messages.error(self.request, str(error))
            return HttpResponseRedirect(self.back(row))

    def post(self, request: HttpRequest, **_path: Any) -> HttpResponse:  # noqa: ANN401
        """Does it."""
        row, form = self.find(), self.form_class(request.POST)
        if not form.is_valid():
            return self._ask(row, form)
        try:
            said = self.do(row, form)
        except OperationRefused as error:
            messages.error(request, str(error))
        else:
            log_action(request, [row], f"{self.title}: {said}")
            messages.success(request, said)
        return HttpResponseRedirect(self.back(row))

    def _ask(self, row: Any, form: forms.Form) -> HttpResponse:  # noqa: ANN401
        context = {
            "title": self.title,
            "row": row,
            "what": self.what(row),
            "form": form,
            "danger": self.danger,
            "back": self.back(row),
        }
        return render(self.request, "act.html", context, status=400 if form.errors else 200)
