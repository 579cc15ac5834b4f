# The rare rows among many: each list of them has an index of its own.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('loader', '0005_pages'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='bucketobject',
            index=models.Index(condition=models.Q(('result', 'conflicting')), fields=['id'], name='loader_object_conflicting'),
        ),
        migrations.AddIndex(
            model_name='loadattempt',
            index=models.Index(condition=models.Q(models.Q(('parse_status', 'Success'), _negated=True), ('parse_status__isnull', False)), fields=['gp_int_id'], name='ix_fn4loadattempt_unparsed'),
        ),
    ]
