"""What a page of an error leaves out with DEBUG on; by itself Django hides settings whose names speak of keys and passwords."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class SettingsFilter(SafeExceptionReporterFilter):
    """Hides addresses, too: those of databases, brokers, receivers of alarms and Sentry hold passwords and tokens."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DSN|REDIS|PROXY", re.IGNORECASE
    )
