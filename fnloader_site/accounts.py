"""Accounts: changing one's password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import views as auth
from django.forms import Form
from django.http import HttpResponse
from django.urls import reverse_lazy


class PasswordChangeView(auth.PasswordChangeView):
    """A new password for who is logged in."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form: Form) -> HttpResponse:
        """Says so on the next page."""
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)  # type: ignore[arg-type]
