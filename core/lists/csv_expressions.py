"""SQL expressions that format values as text for CSV, several times faster than in Python.

Databases other than PostgreSQL and SQLite return the value itself, which Python's csv formats.
"""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, Expression, F, Func, Q, TextField, Value, When
from django.db.models.functions import Concat, Left, Length
from django.db.models.lookups import In, IRegex, LessThanOrEqual, Regex

FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet takes a cell that begins with one of these for a formula; a Japanese Excel also the full-width forms."""


MAX_MONTH_LENGTH = 24
"""Characters of a date with the name of a month."""
_PLAIN_NUMBER = "^(0|[1-9][0-9]{0,14})$"
"""A spreadsheet shows it as it is; more digits would become zeros."""
_NUMBER_OR_DATE = "^[0-9.,$(][0-9.,:/% e()+-]*([ap]|am|pm)?$"
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE_WITH_MONTH = f"^({_MONTH}[ .,/-]*[0-9]+|[0-9]+[ .,/-]*{_MONTH}|true|false)[ .,/0-9:-]*$"
_MONTH_LETTERS = tuple("jfmasondtJFMASONDT")
_DIGITS = tuple("0123456789.,$(")


def SafeText(source: Expression | F) -> Case:  # noqa: N802 - used as the expressions beside it
    """Text, with a quote before what a spreadsheet would run as a formula, or change to a number or date: `00123`, `1E5`,
    `1-2`, `mar1`. The first character decides about most texts, as a regular expression takes longer."""
    first = Left(source, 1)
    number = Q(In(first, _DIGITS)) & ~Q(Regex(source, _PLAIN_NUMBER)) & Q(IRegex(source, _NUMBER_OR_DATE))
    short = Q(LessThanOrEqual(Length(source), MAX_MONTH_LENGTH)) & Q(In(first, (*_MONTH_LETTERS, *_DIGITS)))
    quoted = Concat(Value("'"), source, output_field=TextField())
    return Case(
        When(Q(In(first, FORMULA_PREFIXES)), then=quoted),
        When(number, then=quoted),
        When(short & Q(IRegex(source, _DATE_WITH_MONTH)), then=quoted),
        default=source,
        output_field=TextField(),
    )


def safe_text(text: str) -> str:
    """The same in Python."""
    number = not re.match(_PLAIN_NUMBER, text) and re.match(_NUMBER_OR_DATE, text, re.IGNORECASE)
    month = len(text) <= MAX_MONTH_LENGTH and re.match(_DATE_WITH_MONTH, text, re.IGNORECASE)
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) or number or month else text


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
