"""How fast a list of 100,000 ids is looked up among many attempts, beside a bare SQL join (`python -m bench.samples`).

DATABASE_URL names the database, PostgreSQL or SQLite; without it a SQLite file is made in the temporary folder. An empty one is
filled: by bench.lifelike up to 100,000 attempts, and beyond that by copies of these made in the database.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Model

DEFAULT_ATTEMPTS = 1_000_000
FILLED_ROW_BY_ROW = 100_000
UNKNOWN_SHARE = 10
"""One of that many ids is unknown."""


def main() -> None:
    """Prints ids a second of the look-up and of the bare join."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=DEFAULT_ATTEMPTS)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{Path(folder) / 'samples.sqlite3'}")
        _setup(options.attempts)
        measure(options.ids, options.rounds)


def measure(number: int, rounds: int) -> None:
    """The median of the rounds, each with other ids."""
    from loader.models import LoadAttempt

    attempts, chance = LoadAttempt.objects.count(), random.Random(1)
    own, bare = [], []
    for _ in range(rounds):
        ids = _ids(number, chance)
        bare.append(_timed(lambda ids=ids: _join(ids)))  # type: ignore[misc]
        own.append(_timed(lambda ids=ids: _look_up(ids)))  # type: ignore[misc]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, seconds in (("sample_report", own), ("bare join", bare)):
        middle = sorted(seconds)[len(seconds) // 2]
        print(f"{name}: {number:,} ids of {attempts:,} attempts in {middle:.2f} s, {number / middle:,.0f} ids/s")
    print(f"peak of this process: {peak:.0f} MB")


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _ids(number: int, chance: random.Random) -> list[str]:
    """Known ids from all over the table, and unknown ones between them."""
    from loader.models import BucketObject

    first, last = BucketObject.objects.earliest("pk").pk, BucketObject.objects.latest("pk").pk
    found: list[str] = []
    while len(found) < number - number // UNKNOWN_SHARE:
        keys = [chance.randint(first, last) for _ in range(500)]
        found += BucketObject.objects.filter(pk__in=keys).values_list("seqid", flat=True)
    known = dict.fromkeys(found[: number - number // UNKNOWN_SHARE])
    ids = [*known, *(f"NONE-{place:07}" for place in range(number - len(known)))]
    chance.shuffle(ids)
    return ids


def _look_up(ids: list[str]) -> None:
    from loader.sample_list import sample_report, totals

    with sample_report(ids) as report:
        rows = sum(1 for _ in report)
        assert rows >= len(ids)
        assert totals(report)["unknown"] >= len(ids) // UNKNOWN_SHARE


def _join(ids: list[str]) -> None:
    """One statement of the database: each id with its files, by the index on seqid."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE listed (seqid varchar(255))")
        rows = [(text,) for text in ids]
        if connection.vendor == "postgresql":
            cursor.execute("INSERT INTO listed SELECT unnest(%s::text[])", [ids])
            cursor.execute("ANALYZE listed")
        else:
            cursor.executemany("INSERT INTO listed VALUES (%s)", rows)
        join = "SELECT listed.seqid, o.state, o.done_at, o.feed_id FROM listed LEFT JOIN loader_bucketobject o"
        collation = ' COLLATE "C"' if connection.vendor == "postgresql" else ""
        cursor.execute(f"{join} ON o.seqid = listed.seqid{collation}")
        assert len(cursor.fetchall()) >= len(ids)
        cursor.execute("DROP TABLE listed")


def _setup(attempts: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
    os.environ.setdefault("SECRET_KEY", "bench-" + "x" * 50)
    import django

    django.setup()
    from django.core.management import call_command

    from bench.lifelike import fill
    from loader.models import Feed

    call_command("migrate", verbosity=0)
    if not Feed.objects.exists():
        start = time.perf_counter()
        fill(attempts=min(attempts, FILLED_ROW_BY_ROW), feeds=50, records=20_000)
        for copy in range(1, attempts // FILLED_ROW_BY_ROW):
            _copy(copy)
        _analyze()
        print(f"filled in {time.perf_counter() - start:.0f} s")


def _copy(copy: int) -> None:
    """The first attempts and their files once more, under other ids."""
    from loader.models import BucketObject, LoadAttempt

    offset = copy * 10 * FILLED_ROW_BY_ROW
    suffix = f"|| '-{copy}'"
    for model, key, changed in (
        (BucketObject, "id", ("name", "version", "seqid", "guid")),
        (LoadAttempt, "gp_int_id", ("seqid", "fn4id", "file_name")),
    ):
        _copy_table(model, key, changed, offset, suffix)


def _copy_table(model: type[Model], key: str, changed: tuple[str, ...], offset: int, suffix: str) -> None:
    from django.db import connection

    meta = model._meta  # noqa: SLF001 - Django names it so
    columns = [str(field.column) for field in meta.concrete_fields]
    moved = {key, "bucket_object_id"}
    values = [f"{c} + {offset}" if c in moved else f"{c} {suffix}" if c in changed else c for c in columns]
    table, limit = meta.db_table, 10 * FILLED_ROW_BY_ROW
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table} WHERE {key} < {limit}"
        )


def _analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "PRAGMA optimize")


if __name__ == "__main__":
    main()
