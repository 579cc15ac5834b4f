"""What a page of an error leaves out with DEBUG on; by itself Django hides settings whose names speak of keys and passwords."""

from __future__ import annotations

import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from core.secrets import hide_secrets


class SettingsFilter(SafeExceptionReporterFilter):
    """Hides addresses, too: those of databases, brokers, receivers of alarms and Sentry hold passwords and tokens."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DSN|REDIS|PROXY", re.IGNORECASE
    )

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        """Local variables, without the value of those that hold a secret."""
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return {name: self.cleansed_substitute if _holds_secret(value) else value for name, value in variables}.items()


def _holds_secret(value: object) -> bool:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - of any object; Django says so in its place
        return False
    return hide_secrets(text) != text
