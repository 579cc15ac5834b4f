"""Equal slots of time, for charts and counts over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import FloatField, Func, IntegerField

INTERVAL_PARTS = (("DAY", 86400), ("HOUR", 3600), ("MINUTE", 60), ("SECOND", 1))


class TimeSlot(Func):
    """The number of the slot that a time is in, slots of so many seconds counted from 1970: computed in SQL, for grouping."""

    output_field = IntegerField()
    template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / %(seconds)s)"

    def __init__(self, moment: str, seconds: int) -> None:
        super().__init__(moment, seconds=seconds)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401 - Django's
        """By strftime."""
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / %(seconds)s"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_mysql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """By TIMESTAMPDIFF, since connections are in UTC."""
        template = "FLOOR(TIMESTAMPDIFF(SECOND, '1970-01-01', %(expressions)s) / %(seconds)s)"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_oracle(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """By days since 1970."""
        template = "FLOOR((CAST(%(expressions)s AS DATE) - DATE '1970-01-01') * 86400 / %(seconds)s)"
        return self.as_sql(compiler, connection, template=template, **extra)


class Seconds(Func):
    """The seconds of a duration, as a number that SQL can divide by."""

    output_field = FloatField()
    template = "(CAST(%(expressions)s AS DOUBLE PRECISION) / 1000000)"

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401 - Django's
        """Django stores microseconds there."""
        return self.as_sql(compiler, connection, template="(%(expressions)s / 1000000.0)", **extra)

    def as_mysql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """And there."""
        return self.as_sqlite(compiler, connection, **extra)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """Of an interval."""
        template = "CAST(EXTRACT(EPOCH FROM %(expressions)s) AS DOUBLE PRECISION)"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_oracle(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:  # noqa: ANN401
        """Of an interval: its parts."""
        parts = (f"EXTRACT({part} FROM %(expressions)s) * {seconds}" for part, seconds in INTERVAL_PARTS)
        return self.as_sql(compiler, connection, template=f"({' + '.join(parts)})", **extra)


def slot_of(moment: datetime, seconds: int) -> int:
    """The number of the slot that a time is in, as `TimeSlot` computes it in SQL."""
    return int(moment.timestamp()) // seconds


@dataclass(frozen=True)
class TimeSlots:
    """Consecutive slots up to now."""

    seconds: int
    first: int
    number: int

    @classmethod
    def until(cls, now: datetime, span: timedelta, seconds: int) -> TimeSlots:
        """Slots of so many seconds each; the last one is not over yet."""
        number = max(1, round(span.total_seconds() / seconds))
        return cls(seconds, slot_of(now, seconds) - number + 1, number)

    @property
    def moments(self) -> list[datetime]:
        """Start of each."""
        return [datetime.fromtimestamp((self.first + index) * self.seconds, tz=UTC) for index in range(self.number)]

    def last(self, number: int) -> TimeSlots:
        """The latest ones."""
        return TimeSlots(self.seconds, self.first + self.number - number, number)

    def filled(self, values: dict[int, float], default: float | None = 0) -> list[float | None]:
        """One value for each slot."""
        return [values.get(self.first + index, default) for index in range(self.number)]
