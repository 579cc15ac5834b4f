"""CSV export of lists: streamed from the database, in flat memory, however many rows there are.

PostgreSQL writes the CSV itself (COPY), which needs no cursor that stays open between statements, so it also works behind a
pooler. The first rows are read before the response begins, so that an error there is an error page; a later one breaks the
connection, so that half a file never looks complete.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Any

from django.db import connections
from django.db.models import Expression, F, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

BOM = "\ufeff".encode()
"""Without it a double click opens UTF-8 as the encoding of the machine."""
CHUNK_SIZE = 500
"""Rows sent at a time."""


def csv_response(
    rows: QuerySet[Any], columns: Sequence[tuple[str, Expression | F]], name: str
) -> StreamingHttpResponse:
    """A download of the rows in their order, with these columns (heading, expression), as `name-2026-01-31.csv`."""
    return file_response(with_bom(csv_lines(rows, columns)), f"{name}-{timezone.localdate():%Y-%m-%d}.csv")


def file_response(chunks: Generator[bytes], name: str) -> StreamingHttpResponse:
    """A download of CSV that is made while it is sent; its first two chunks are read before the response begins."""
    response = StreamingHttpResponse(_ReadAhead(chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def with_bom(chunks: Generator[bytes]) -> Generator[bytes]:
    """For spreadsheets."""
    with closing(chunks):
        yield BOM + next(chunks, b"")
        yield from chunks


class _ReadAhead:
    """Chunks whose first two are already read. Django closes it when a client hangs up, which also ends the query."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        self._source = chunks
        self._chunks = chain(list(islice(chunks, 2)), chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Closes the database's cursor."""
        self._source.close()


def csv_lines(rows: QuerySet[Any], columns: Sequence[tuple[str, Expression | F]]) -> Generator[bytes]:
    """The heading, then the rows in chunks."""
    yield _encode([[heading for heading, _ in columns]])
    values: Any = rows.values_list(*(expression for _, expression in columns))
    connection: Any = connections[values.db]
    if connection.vendor != "postgresql":
        for chunk in _chunks(values.iterator(chunk_size=CHUNK_SIZE)):
            yield _encode(chunk)
        return
    sql, parameters = values.query.get_compiler(using=values.db).as_sql()
    statement = connection.ops.compose_sql(sql, parameters)
    with connection.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)") as copy:
        for chunk in _chunks(copy):
            yield b"".join(chunk)


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        yield chunk


class _Lines(list[str]):
    """A file for csv.writer that strips line ends: PostgreSQL's differ, and with those csv would not quote a lone "\\r"."""

    def write(self, line: str) -> None:
        self.append(line[:-2])


def _encode(rows: Iterable[Sequence[object]]) -> bytes:
    lines = _Lines()
    csv.writer(lines).writerows(rows)
    return ("\n".join(lines) + "\n").encode()
