"""Multiplies a filled PostgreSQL database: ten million attempts in minutes, copied by the database itself.

`python -m bench.manifold 10` after `bench.lifelike`. Each object and its attempt is copied that often, close in time, for
other samples and feeds; numbers ascend with time as before. For measuring only: rows are replaced, and indexes rebuilt.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

SECONDS = 0.05
"""Between two copies."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("times", type=int)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
    import django

    django.setup()
    grow(options.times)


def grow(times: int) -> None:
    """Objects and attempts of the default database."""
    from django.db import connection

    with connection.cursor() as cursor:
        # Without the checks of foreign keys, one a row; the new rows point as the old ones did.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute(
            "CREATE TEMP TABLE feeds AS SELECT row_number() OVER (ORDER BY f.id) - 1 AS place, f.id, f.server_id, s.url"
            " FROM loader_feed f JOIN loader_server s ON s.id = f.server_id"
        )
        for table, key in (("loader_bucketobject", "id"), ("fn4loadattempt", "gp_int_id")):
            _multiply(cursor, table, key, times)
        cursor.execute("VACUUM ANALYZE")


def _multiply(cursor: Any, table: str, key: str, times: int) -> None:  # noqa: ANN401 - Django's wrapper
    cursor.execute(f"CREATE TEMP TABLE few AS TABLE {table}")
    cursor.execute("SELECT * FROM few LIMIT 0")
    columns = [column.name for column in cursor.description]
    cursor.execute(f"DELETE FROM {table}")
    cursor.execute(f"VACUUM {table}")
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE tablename = %s AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        [table],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    made = ", ".join(_expression(column, key, times) for column in columns)
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM few o CROSS JOIN generate_series(0, {times - 1}) k"
        " JOIN feeds was ON was.id = o.feed_id JOIN feeds f ON f.place = (was.place + k * 7) % (SELECT count(*) FROM feeds)"
        f" ORDER BY o.{key}, k"
    )
    for _, definition in indexes:
        cursor.execute(definition)
    cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT max({key}) FROM {table}))")
    cursor.execute("DROP TABLE few")


def _expression(column: str, key: str, times: int) -> str:
    moments = ("created", "first_seen", "done_at", "batch_start_time", "insert_start_time", "insert_end_time")
    if column in (key, "bucket_object_id"):
        return f"o.{column} * {times} + k"
    if column in ("version", "etag"):
        return f"o.{column} || '-' || k"
    if column in ("seqid", "fn4id", "guid"):
        return f"CASE WHEN o.{column} = '' THEN '' ELSE o.{column} || k END"
    if column in ("name", "file_name"):
        return f"replace(o.{column}, '.fasta', k || '.fasta')"
    if column in moments or column.startswith("bucket_read"):
        return f"o.{column} + k * interval '{SECONDS} s'"
    changed = {"feed_id": "f.id", "server_id": "f.server_id", "findneighbour_server_url": "f.url"}
    return changed.get(column, f"o.{column}")


if __name__ == "__main__":
    main()
