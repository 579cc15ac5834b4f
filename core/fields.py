"""Text columns: one that compares and sorts by bytes in every database (traps.md, "Order"), one for sentences of any length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

# SQLite's default (BINARY) is bytewise, and it has no collation "C".
BYTEWISE = {"postgresql": "C", "mysql": "utf8mb4_bin", "oracle": "BINARY"}

MYSQL_KEY_LENGTH = 3072 // 4
"""Characters of an index key: at most 3072 bytes, four a character."""
BATCH_ID_LENGTH = 6
"""Characters of the batch id in an index of identifiers."""

if TYPE_CHECKING:
    Set = TypeVar("Set")
    Get = TypeVar("Get")
    TypedCharField = models.CharField[Set, Get]
else:
    Set = Get = None

    class TypedCharField(models.CharField):
        """A CharField accepts type arguments only in its stubs."""

        def __class_getitem__(cls, _types: Any) -> type:  # noqa: ANN401
            return cls


class BytewiseCharField(TypedCharField[Set, Get]):
    """A CharField for names, keys and ids: `a` is not `A`, and order is the order of the UTF-8 bytes."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """On MySQL, a column that would fill an index key leaves room for a batch id beside it.

        No identifier is longer: the 768 bytes of a key also hold the delimiters and the action (domain.md).
        """
        if connection.vendor == "mysql" and self.max_length == MYSQL_KEY_LENGTH:
            return f"varchar({MYSQL_KEY_LENGTH - BATCH_ID_LENGTH})"
        return super().db_type(connection)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Adds the vendor's bytewise collation."""
        parameters: dict[str, Any] = super().db_parameters(connection)
        collation = BYTEWISE.get(connection.vendor)
        return parameters | {"collation": collation} if collation else parameters


class MessageField(TypedCharField[Set, Get]):
    """A CharField for sentences that hold words from outside, such as reasons and errors: cut where they are written."""

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:  # noqa: ANN401 - Django's
        """At most `max_length` characters; a text that was cut ends with `…`."""
        prepared = super().get_db_prep_save(value, connection)
        length = self.max_length or 0
        return prepared[: length - 1] + "…" if isinstance(prepared, str) and len(prepared) > length else prepared

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """Of a plain CharField: the column is one, so migrations need not know."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.CharField", arguments, options
