"""Both groups may see the comparisons of servers."""

from django.db import migrations

from core.permissions import make_groups


def make(apps, schema_editor):
    """Groups that exist keep what they have."""
    make_groups(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("fnloader_site", "0005_reading_permissions"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("batches", "0009_fill_identifier_norm"),
        ("loader", "0014_twins"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
