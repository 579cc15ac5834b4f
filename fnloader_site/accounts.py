"""Accounts: change of the password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import views as auth
from django.forms import Form
from django.http import HttpResponse
from django.urls import reverse_lazy


class PasswordChangeView(auth.PasswordChangeView):
    """Change of the password."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form: Form) -> HttpResponse:
        """Confirms it on the next page."""
        messages.success(self.request, "Password changed.")
        return super().form_valid(form)  # type: ignore[arg-type]
