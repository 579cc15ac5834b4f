# What the overview, the list of feeds and a feed's page count is counted in an index; an index that another begins with goes.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('loader', '0007_findings'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='loadattempt',
            name='ix_fn4loadattempt_feed_read',
        ),
        migrations.AlterField(
            model_name='bucketobject',
            name='feed',
            field=models.ForeignKey(db_index=False, help_text='The feed whose bucket it is in.', on_delete=django.db.models.deletion.PROTECT, related_name='objects_seen', to='loader.feed'),
        ),
        migrations.AddIndex(
            model_name='bucketobject',
            index=models.Index(condition=models.Q(('acknowledged_at__isnull', True), ('state', 'rejected')), fields=['feed', 'first_seen'], name='loader_object_rejected'),
        ),
        migrations.AddIndex(
            model_name='loadattempt',
            index=models.Index(fields=['feed', 'bucket_read_start_time'], include=('outcome', 'insert_status_code'), name='ix_fn4loadattempt_feed_read'),
        ),
    ]
