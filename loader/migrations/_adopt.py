"""Adopts the two tables of the loader before this one, row for row (reference/old-tables.sql).

They are set aside under another name, ours are created, and each row is copied: its naive local times are read in
TIME_ZONE. Part of the first migration, because tables that exist can't be created after it.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.apps.registry import Apps
from django.conf import settings
from django.core.management.color import no_style
from django.db import models

TABLES = {"fn4batchload": "BatchLoad", "fn4loadattempt": "LoadAttempt"}
PAGE = 2000


def set_aside(apps: Apps, schema_editor: Any) -> None:
    """Renames tables of the old loader, and drops their indexes, whose names ours need."""
    connection = schema_editor.connection
    for table in TABLES:
        with connection.cursor() as cursor:
            if table not in connection.introspection.table_names(cursor):
                continue
            constraints = connection.introspection.get_constraints(cursor, table)
        for name, what in constraints.items():
            if what["index"] and not (what["primary_key"] or what["unique"] or what["foreign_key"]):
                on = f" ON {schema_editor.quote_name(table)}" if connection.vendor == "mysql" else ""
                schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}{on}")
        schema_editor.alter_db_table(models.Model, table, f"{table}_old")


def bring_back(apps: Apps, schema_editor: Any) -> None:
    """Copies what was set aside, page by page, checks that all of it arrived, and drops what was set aside."""
    connection = schema_editor.connection
    for table, model_name in TABLES.items():
        with connection.cursor() as cursor:
            if f"{table}_old" not in connection.introspection.table_names(cursor):
                continue
            columns = {column.name.lower() for column in connection.introspection.get_table_description(cursor, f"{table}_old")}
        new = apps.get_model("loader", model_name)
        old = _old_model(new, f"{table}_old", columns)
        copied = _copy(old, new, connection.alias)
        if copied != old.objects.using(connection.alias).count():
            raise RuntimeError(f"{table} was not copied whole; nothing was changed.")
        for statement in connection.ops.sequence_reset_sql(no_style(), [new]):
            schema_editor.execute(statement)
        schema_editor.execute(schema_editor.sql_delete_table % {"table": schema_editor.quote_name(f"{table}_old")})


def _old_model(new: type[models.Model], table: str, columns: set[str]) -> Any:
    """A model of the old table: those columns of the new one that it has."""
    fields = {field.name: field.clone() for field in new._meta.concrete_fields if field.column in columns}
    meta = type("Meta", (), {"db_table": table, "app_label": "loader", "managed": False, "apps": Apps()})
    return type("Old" + new.__name__, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


def _copy(old: Any, new: Any, db: str) -> int:
    zone = ZoneInfo(settings.TIME_ZONE)
    times = [field.name for field in old._meta.concrete_fields if isinstance(field, models.DateTimeField)]
    rows, copied, last = old.objects.using(db).order_by("pk"), 0, None
    while page := list((rows if last is None else rows.filter(pk__gt=last)).values()[:PAGE]):
        last = page[-1][old._meta.pk.name]
        for row, name in ((row, name) for row in page for name in times):
            if row[name] is not None:
                row[name] = row[name].replace(tzinfo=zone)
        copied += len(new.objects.using(db).bulk_create([new(**row) for row in page]))
    return copied
