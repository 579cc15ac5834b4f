"""A text column that compares and sorts bytewise in every database (traps.md, "Order")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

# SQLite's own default (BINARY) is bytewise, and it refuses COLLATE "C".
BYTEWISE = {"postgresql": "C", "mysql": "utf8mb4_bin", "oracle": "BINARY"}

MYSQL_KEY_LETTERS = 3072 // 4
"""Its index keys end at 3072 bytes, four a letter."""
BATCH_ID_LETTERS = 6
"""What an index of identifiers has beside them."""

if TYPE_CHECKING:
    Set = TypeVar("Set")
    Get = TypeVar("Get")
    TextColumn = models.CharField[Set, Get]
else:
    Set = Get = None

    class TextColumn(models.CharField):
        """A CharField takes its types in brackets only while it is checked."""

        def __class_getitem__(cls, _types: Any) -> type:  # noqa: ANN401
            return cls


class BytewiseCharField(TextColumn[Set, Get]):
    """A CharField for names, keys and ids: `a` is not `A`, and order is the order of the UTF-8 bytes."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """A column that alone would fill an index key of MySQL leaves room for a batch id beside it.

        No identifier is longer: a key's 768 bytes hold the delimiters and the action, too (domain.md).
        """
        if connection.vendor == "mysql" and self.max_length == MYSQL_KEY_LETTERS:
            return f"varchar({MYSQL_KEY_LETTERS - BATCH_ID_LETTERS})"
        return super().db_type(connection)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Adds the vendor's bytewise collation."""
        parameters: dict[str, Any] = super().db_parameters(connection)
        collation = BYTEWISE.get(connection.vendor)
        return parameters | {"collation": collation} if collation else parameters
