"""Oracle, as far as that goes without a server: the SQL of all migrations can be built.

Queries: test_oracle_queries.py. Nothing here was run on an Oracle database. What the backend would ask its server is told
it: version 19, extended strings.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

LONGEST = 30
"""Characters of a name of ours that every Oracle takes."""


def migration_sql(connection: Any, app: str) -> list[str]:  # noqa: ANN401
    loader, state, statements = MigrationLoader(None), ProjectState(), []
    for key in loader.graph.forwards_plan(loader.graph.leaf_nodes(app)[0]):
        with connection.schema_editor(collect_sql=True, atomic=False) as editor:
            state = loader.get_migration(*key).apply(state, editor, collect_sql=True)
        statements += [line for line in editor.collected_sql if not line.startswith("--")]
    return statements


@pytest.mark.parametrize(("app", "table"), [("loader", "FN4LOADATTEMPT"), ("batches", "BATCHES_BATCHRECORD")])
def test_the_sql_of_all_migrations_can_be_built(oracle: Any, app: str, table: str) -> None:  # noqa: ANN401
    statements = migration_sql(oracle, app)
    assert any(statement.startswith(f'CREATE TABLE "{table}"') for statement in statements)
    names = {name for statement in statements for name in re.findall(r'(?:TABLE|INDEX|CONSTRAINT) "(\w+)"', statement)}
    assert not {name for name in names if len(name) > LONGEST}
