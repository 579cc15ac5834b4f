"""Two groups: viewers look, operators act."""

from django.db import migrations

from fnloader_site.accounts import make_groups


def make(apps, schema_editor):
    """Groups that exist keep what they have."""
    make_groups(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("fnloader_site", "0001_background_jobs"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("batches", "0003_why_and_when"),
        ("loader", "0003_stretches_of_jobs"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
