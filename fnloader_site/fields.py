"""A text column that compares and sorts bytewise in every database (traps.md, "Order")."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

# SQLite's own default (BINARY) is bytewise, and it refuses COLLATE "C".
BYTEWISE = {"postgresql": "C", "mysql": "utf8mb4_bin", "oracle": "BINARY"}


class BytewiseCharField(models.CharField[str, str]):
    """A CharField for names, keys and ids: `a` is not `A`, and order is the order of the UTF-8 bytes."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Adds the vendor's bytewise collation."""
        parameters: dict[str, Any] = super().db_parameters(connection)  # type: ignore[assignment]
        collation = BYTEWISE.get(connection.vendor)
        return parameters | {"collation": collation} if collation else parameters
