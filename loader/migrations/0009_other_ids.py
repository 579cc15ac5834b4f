# Samples whose id in the server is not that of the file are told in an index.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('loader', '0008_counted_by_index'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='bucketobject',
            name='loader_object_guid',
        ),
        migrations.RemoveIndex(
            model_name='loadattempt',
            name='ix_fn4loadattempt_fn4id',
        ),
        migrations.AddIndex(
            model_name='bucketobject',
            index=models.Index(fields=['guid', 'seqid'], name='loader_object_guid'),
        ),
        migrations.AddIndex(
            model_name='loadattempt',
            index=models.Index(fields=['fn4id', 'seqid'], name='ix_fn4loadattempt_fn4id'),
        ),
    ]
