"""Records that bring media are uploaded a few at a time, each after a pause; the others are not held up."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from pytest_django.fixtures import Settings

from batches.models import Batch, BatchRecord
from batches.upload.media_pause import MediaThrottle
from batches.upload.run import upload_batch

if TYPE_CHECKING:
    from sandbox.s3 import S3Sandbox
    from tests.support.batch_site import Between
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db


def media_batch(shelf: Shelf, number: int, media: int) -> Batch:
    """A batch that waits for its upload; the first `media` of its records bring media."""
    batch = shelf.batch("plc", *(f"r{n}" for n in range(number)))
    for path in shelf.bucket.iterdir():
        path.unlink()
    for row, record in enumerate(BatchRecord.objects.order_by("row")):
        record.source = json.dumps([record.identifier, "https://example.org/a.jpg" if row < media else " "])
        record.upload_outcome = "pending"
        record.save()
    batch.source_columns = '["identifier", "mediafileuri"]'
    batch.status, batch.upload_finished = "mapped", None
    batch.save()
    return batch


def test_only_a_record_with_a_mediafileuri_brings_media(shelf: Shelf) -> None:
    batch = media_batch(shelf, 2, media=1)
    pause = MediaThrottle(batch)
    sources = BatchRecord.objects.order_by("row").values_list("source", flat=True)
    assert [pause.has_media(source) for source in sources] == [True, False]
    batch.source_columns = '["identifier"]'
    assert not MediaThrottle(batch).is_needed


def test_as_many_at_a_time_as_the_setting_says_and_none_is_lost(
    shelf: Shelf,
    settings: Settings,
    s3: S3Sandbox,
    bucket: str,
    between_process: Between,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.MEDIA_UPLOAD_PAUSE, settings.MEDIA_UPLOAD_THREADS = 0.01, 2
    batch = media_batch(shelf, 30, media=20)
    settings.BATCH_STORE_URL, batch.store_url = f"s3://{bucket}", None
    batch.save()
    for name, value in s3.environ(between_process.endpoint).items():
        monkeypatch.setenv(name, value)
    media = {shelf.key("plc", f"r{n}") for n in range(20)}
    lock, now, most = threading.Lock(), 0, 0

    def slow(key: str) -> None:
        nonlocal now, most
        with lock:
            now += key in media
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= key in media

    between_process.reset()
    between_process.before_put = slow
    assert upload_batch(batch).outcomes == {"success": 30}
    assert 1 <= most <= 2
    assert len(s3.objects(bucket)) == 30


def test_the_pause_comes_before_the_record_and_ends_at_once_when_the_upload_stops(
    shelf: Shelf, settings: Settings
) -> None:
    settings.MEDIA_UPLOAD_PAUSE = 3600
    pause = MediaThrottle(media_batch(shelf, 1, media=1))
    stopped, entered = threading.Event(), threading.Event()

    def send() -> None:
        with pause.slot(stopped.is_set):
            entered.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert not entered.wait(0.05)
    stopped.set()
    assert entered.wait(30)
    thread.join()
