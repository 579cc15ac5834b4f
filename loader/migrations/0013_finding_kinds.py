from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('loader', '0012_server_facts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='finding',
            name='kind',
            field=models.CharField(choices=[('not_loaded', 'not loaded'), ('rejected', 'rejected'), ('lost', 'lost'), ('lost_and_gone', 'lost and gone'), ('other_name', 'other name'), ('conflicting', 'conflicting'), ('unproven', 'unproven'), ('invalid', 'invalid'), ('sequence_differs', 'sequence differs'), ('not_compared', 'not compared'), ('not_in_bucket', 'not in bucket')], help_text='Kind of difference (docs/loader.md, Reconcile).', max_length=20),
        ),
    ]
