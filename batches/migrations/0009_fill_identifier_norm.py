"""The comparison form of the identifiers that are not their own, in chunks; can be interrupted and run again."""

from django.db import migrations

from batches.keys import comparison_form

CHUNK_SIZE = 5000


def fill(apps, schema_editor):
    records, last = apps.get_model("batches", "BatchRecord").objects, 0
    rows = records.filter(identifier__isnull=False).order_by("pk").values_list("pk", "identifier")
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK_SIZE]):
        for pk, identifier in chunk:
            if norm := comparison_form(identifier):
                records.filter(pk=pk).update(identifier_norm=norm)
        last = chunk[-1][0]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("batches", "0008_identifier_norm"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
