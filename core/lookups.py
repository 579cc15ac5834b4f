"""`among`: `IN` for thousands of texts, which are one parameter where the database can take them as one."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField
from django.db.models.lookups import In


@CharField.register_lookup
class Among(In):
    """`name__among=texts`: any of a set of texts, that are compared as they are. (Of a list Django looks at each item.)

    Django prepares each value of an `IN` by itself, and SQLite and PostgreSQL parse a parameter for each: with 100,000 ids that
    takes longer than to find them. Other databases get the plain `IN`.
    """

    lookup_name = "among"
    rhs: AbstractSet[str] | list[str]

    def get_prep_lookup(self) -> list[str]:
        """The texts, in the order of an index."""
        return sorted(self.rhs)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # noqa: ANN401 - Django's
        """An array."""
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*parameters, self.rhs]

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # noqa: ANN401 - Django's
        """A JSON document, read by SQLite."""
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*parameters, json.dumps(self.rhs)]  # noqa: S608
