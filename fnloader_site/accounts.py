"""Accounts: the login and whom it locks out, and change of the password."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.forms import AuthenticationForm
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

_LOCAL = "127.0.0.1"
"""For a Unix socket, whose other end has no address."""
_IPV6_SITE = 64
"""Bits: whoever has one IPv6 address has all that share these."""


def client_address(request: HttpRequest) -> str:
    """The address that wrong passwords count for (AXES_CLIENT_IP_CALLABLE).

    Anybody can write any X-Forwarded-For: only what a proxy of TRUSTED_PROXIES added to it is believed.
    """
    address = _parsed(request.META.get("REMOTE_ADDR") or _LOCAL)
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    while forwarded and any(address in network for network in settings.TRUSTED_PROXIES):
        try:
            address = _parsed(forwarded.pop().strip())
        except ValueError:
            break
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), _IPV6_SITE), strict=False).network_address)
    return str(address)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


class LoginForm(AuthenticationForm):
    """Django's, which takes names of any length: the record of failed logins does not."""

    def clean_username(self) -> str:
        """A name that is too long for a user is cut to one that is so still: it is refused as any other, in the same time."""
        name: str = self.cleaned_data["username"]
        return name[: (self.fields["username"].max_length or 0) + 1]  # type: ignore[attr-defined]


class PasswordChangeView(auth.PasswordChangeView):
    """Change of the password."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form: Form) -> HttpResponse:
        """Confirms it on the next page."""
        messages.success(self.request, "Password changed.")
        return super().form_valid(form)  # type: ignore[arg-type]
