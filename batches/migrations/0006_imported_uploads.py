"""Batches that were imported as never uploaded although a cell of their row spoke of an upload: nothing of them may be sent.

Their records become uncertain; importing the file again reads their reports.
"""

import json

from django.db import migrations
from django.db.models import Q

NAMES = {
    "uploaded?", "upload_errs", "upload_oks", "ingest_start_time", "ingest_done?", "ingest_complete_time", "ingest_duration",
    "ingest_errs", "ingest_oks",
}
FIELDS = (
    Q(uploaded_at__isnull=False) | Q(ingest_start_time__isnull=False) | Q(ingest_done_at__isnull=False)
    | Q(ingest_complete_time__isnull=False) | Q(upload_oks__gt=0) | Q(upload_errs__gt=0) | Q(ingest_oks__gt=0)
    | Q(ingest_errs__gt=0)
)
MESSAGE = "no upload_report.csv reports its upload: it may have been ingested"


def keep_from_sending(apps, schema_editor):
    batches = apps.get_model("batches", "Batch").objects.filter(
        status__in=["added", "mapped"], upload_runs=0, import_digest__isnull=False
    )
    records = apps.get_model("batches", "BatchRecord").objects
    spoken = set(batches.filter(FIELDS).values_list("pk", flat=True))
    for batch in batches.iterator(500):
        cells = json.loads(batch.cells or "{}")
        texts = {name: text.strip() for name, (text, _ours) in cells.items()}
        unknown = texts.get("batch_status", "").lower() not in ("", "added", "mapped")
        if batch.pk not in spoken and not unknown and not any(texts.get(name, "").strip("0") for name in NAMES):
            continue
        cells["batch_status"] = [cells.get("batch_status", [batch.status])[0], "uploaded"]
        batch.cells, batch.status = json.dumps(cells, ensure_ascii=False), "uploaded"
        batch.upload_started = batch.ingest_start_time or batch.uploaded_at
        batch.upload_finished = batch.uploaded_at or batch.ingest_start_time
        batch.save(update_fields=["cells", "status", "upload_started", "upload_finished"])
        waiting = records.filter(batch=batch, upload_outcome__in=["pending", "unuploadable"], key__isnull=False)
        waiting.update(upload_outcome="uncertain", upload_message=MESSAGE)


class Migration(migrations.Migration):

    dependencies = [
        ("batches", "0005_wording"),
    ]

    operations = [
        migrations.RunPython(keep_from_sending, migrations.RunPython.noop, elidable=True),
    ]
