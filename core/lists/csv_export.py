"""The one way of a table into a CSV file: streamed by the database, in flat memory, however many rows there are.

PostgreSQL writes the CSV itself (COPY), which needs no cursor that stays open between statements: it works behind a pooler,
too. The first rows are read before the response begins, so that an error there is an error page; a later one breaks the
connection, so that nobody takes half a file for a whole one.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from django.db import connections
from django.db.models import Expression, F, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

PAGE = 500
"""Rows handed on at a time."""


def csv_response(
    rows: QuerySet[Any], columns: Sequence[tuple[str, Expression | F]], name: str
) -> StreamingHttpResponse:
    """The rows in their order, with these columns (heading, expression), as `name-2026-01-31.csv`."""
    return file_response(csv_lines(rows, columns), f"{name}-{timezone.localdate():%Y-%m-%d}.csv")


def file_response(pages: Generator[bytes], name: str) -> StreamingHttpResponse:
    """CSV that is made while it is sent, as a file of that name; its first two pages are read before it begins."""
    response = StreamingHttpResponse(_Stream(pages), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


class _Stream:
    """Lines whose first were read ahead. Closed, as Django does when a client hangs up, it ends the query, too."""

    def __init__(self, lines: Generator[bytes]) -> None:
        self._lines = lines
        self._all = chain(list(islice(lines, 2)), lines)

    def __iter__(self) -> Iterator[bytes]:
        return self._all

    def close(self) -> None:
        """Lets go of the database's cursor."""
        self._lines.close()


def csv_lines(rows: QuerySet[Any], columns: Sequence[tuple[str, Expression | F]]) -> Generator[bytes]:
    """The heading, then the rows by hundreds."""
    yield _lines([[heading for heading, _ in columns]])
    values = rows.values_list(*(expression for _, expression in columns))
    if connections[values.db].vendor == "postgresql":
        yield from _copied(values)
        return
    for page in _pages(values.iterator(chunk_size=PAGE)):
        yield _lines(page)


def _copied(values: QuerySet[Any, Any]) -> Iterator[bytes]:
    connection = connections[values.db]
    sql, parameters = values.query.get_compiler(using=values.db).as_sql()
    operations: Any = connection.ops  # PostgreSQL's, which compose a statement with its values
    statement = operations.compose_sql(sql, parameters)
    with connection.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)") as copy:
        for page in _pages(copy):
            yield b"".join(page)


def _pages(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while page := list(islice(iterator, PAGE)):
        yield page


class _Lines(list[str]):
    """What csv writes into. Its lines end as PostgreSQL's do; told so at once, it would not quote a lone carriage return."""

    def write(self, line: str) -> None:
        self.append(line[:-2])


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    lines = _Lines()
    csv.writer(lines).writerows(rows)
    return ("\n".join(lines) + "\n").encode()
