"""SQL expressions that format values as text for CSV, several times faster than in Python.

Databases other than PostgreSQL and SQLite return the value itself, which Python's csv formats.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, Expression, F, Func, TextField, Value, When
from django.db.models.functions import Concat, Left
from django.db.models.lookups import In

FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a cell that begins with one of these for a formula."""


def SafeText(source: Expression | F) -> Case:  # noqa: N802 - used as the expressions beside it
    """Text, with a quote before what a spreadsheet would run."""
    formula = In(Left(source, 1), FORMULA_PREFIXES)
    quoted = Concat(Value("'"), source, output_field=TextField())
    return Case(When(formula, then=quoted), default=source, output_field=TextField())


class TimeText(Func):
    """A time in UTC, to the millisecond: `2026-01-31T18:25:03.123Z`."""

    output_field = TextField()
    template = "%(expressions)s"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401 - Django's
        """By to_char."""
        template = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """By strftime; its percent signs go through two rounds of formatting."""
        template = "strftime('%%%%Y-%%%%m-%%%%dT%%%%H:%%%%M:%%%%fZ', %(expressions)s)"
        return self.as_sql(compiler, connection, template=template, **extra)


class DurationText(Func):
    """A duration: `26:01:00`, hours may exceed 24."""

    output_field = TextField()
    template = "%(expressions)s"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """An interval may hold days, so hours are computed from its seconds."""
        seconds = "round(extract(epoch FROM %(expressions)s))::bigint"
        minutes_and_seconds = (
            f"to_char({number}, 'FM00')" for number in (f"{seconds} / 60 %%%% 60", f"{seconds} %%%% 60")
        )
        parts = ", ".join([f"to_char({seconds} / 3600, 'FM9999900')", *minutes_and_seconds])
        template = f"CASE WHEN %(expressions)s IS NULL THEN NULL ELSE concat_ws(':', {parts}) END"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """Django stores microseconds there."""
        seconds = "(%(expressions)s + 500000) / 1000000"
        parts = f"{seconds} / 3600, {seconds} / 60 %%%% 60, {seconds} %%%% 60"
        template = f"CASE WHEN %(expressions)s IS NULL THEN NULL ELSE printf('%%%%02d:%%%%02d:%%%%02d', {parts}) END"
        return self.as_sql(compiler, connection, template=template, **extra)
