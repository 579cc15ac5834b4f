"""An interrupt at the worst moment of an upload: after a group is marked, before the threads have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batches.models import Batch
from batches.upload.put import UploadItem
from batches.upload.run import upload_batch
from batches.upload.sender import Sender

if TYPE_CHECKING:
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db(transaction=True)
"""Committed for real: after an interrupt the upload goes on with a connection of its own."""


class Interrupting:
    """The queue of a sender, which a Ctrl-C hits when the third item is handed over."""

    def __init__(self, queue: object) -> None:
        self._queue, self._handed = queue, 0

    def put(self, item: UploadItem | None) -> None:
        self._handed += 1
        if self._handed == 3:
            raise KeyboardInterrupt
        self._queue.put(item)  # type: ignore[attr-defined]

    def get(self) -> UploadItem | None:
        found: UploadItem | None = self._queue.get()  # type: ignore[attr-defined]
        return found


def test_nothing_stays_marked_that_no_thread_ever_had(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = shelf.batch("plc", *(f"r{n}" for n in range(6)))
    for path in shelf.bucket.iterdir():
        path.unlink()
    batch.records.filter(row__lte=5).update(upload_outcome="pending")
    batch.records.filter(row=6).update(upload_outcome="uncertain")
    Batch.objects.update(status="mapped", upload_finished=None)
    batch.refresh_from_db()
    run = Sender.run

    def interrupted(self: Sender) -> None:
        self._queue = Interrupting(self._queue)  # type: ignore[assignment]
        run(self)

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            upload_batch(batch, resend_uncertain=True)
    found = shelf.outcomes(batch)
    assert set(found) <= {"success", "pending", "uncertain"}
    assert found.count("success") == len(shelf.left()) <= 2
    assert found[5] == "uncertain"
    assert upload_batch(batch, resend_uncertain=True).outcomes == {"success": 6}
