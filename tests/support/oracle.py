"""`oracle`: Django's Oracle backend, which builds SQL and never connects."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.utils import ConnectionHandler


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a backend without stubs
    """A connection that never connects."""
    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3"}, "oracle": {"ENGINE": "django.db.backends.oracle"}}
    )
    connection: Any = handler["oracle"]
    connection.alias = "default"  # what a migration asks of an alias is the same for both
    connection.__dict__ |= {"oracle_version": (19, 3), "operators": connection._standard_operators}
    connection.features.__dict__["supports_collation_on_charfield"] = True
    # What a column has is asked by a migration that takes its index away.
    monkeypatch.setattr(
        connection.SchemaEditorClass, "_constraint_names", lambda *_asked, **_kinds: ["NAME_THAT_IT_HAS"]
    )
    return connection
