"""Both groups may see corrections and tags of batches."""

from django.db import migrations

from core.permissions import make_groups


def make(apps, schema_editor):
    """Groups that exist keep what they have."""
    make_groups(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("fnloader_site", "0006_twin_permissions"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("batches", "0010_corrections_and_tags"),
        ("loader", "0016_set_addresses"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
