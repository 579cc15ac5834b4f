"""The upload queue on the pages: who may queue a batch, take it out, and resume the queue."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from batches.models import Batch, BatchStep
from batches.upload_queue import entries
from batches.upload_queue.run import read_queue
from tests.batches.upload_queue.test_queue_jobs import mapped  # noqa: F401 - a fixture
from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Client:
    user = User.objects.create_user("alice")
    codes = ["view_batch", "change_batch"]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="batches", codename__in=codes))
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, url: str) -> str:
    return client.get(url, follow=True).content.decode()


def test_a_batch_is_queued_by_a_button_that_says_what_will_happen(
    mapped: Callable[..., Batch],  # noqa: F811
    alice: Client,
) -> None:
    mapped("plc")
    assert "Queue upload" in page(alice, "/batches/plc/")
    asked = page(alice, "/batches/plc/queue/")
    assert "Uploads 3 records of plc to file://" in asked
    assert "if more than 10 % of the records of a batch fail, the queue stops" in asked
    assert not Batch.objects.exclude(queued_at=None)
    assert "plc is queued for upload." in alice.post("/batches/plc/queue/", follow=True).content.decode()
    assert Batch.objects.get().queued_by == "alice"
    assert BatchStep.objects.get().who == "alice"
    assert "is queued already" in alice.post("/batches/plc/queue/", follow=True).content.decode()
    shown = page(alice, "/batches/plc/")
    assert "Queue upload" not in shown
    assert "by alice" in shown
    assert "1 waiting" in page(alice, "/batches/")
    alice.post("/batches/plc/unqueue/")
    assert not Batch.objects.exclude(queued_at=None)
    assert "is not queued for upload" in page(alice, "/batches/plc/unqueue/")


def test_a_batch_whose_files_are_elsewhere_has_no_button(
    mapped: Callable[..., Batch],  # noqa: F811
    alice: Client,
    shelf: Shelf,
) -> None:
    mapped("plc")
    shutil.rmtree(shelf.files / "plc")
    assert "Queue upload" not in page(alice, "/batches/plc/")
    assert "The files of plc are not on this machine" in page(alice, "/batches/plc/queue/")
    assert "are not on this machine" in alice.post("/batches/plc/queue/", follow=True).content.decode()
    assert not Batch.objects.exclude(queued_at=None)


def test_a_queue_that_stopped_is_seen_and_resumed_on_the_pages(
    mapped: Callable[..., Batch],  # noqa: F811
    alice: Client,
) -> None:
    for bid in ("plc", "mat"):
        entries.queue_batch(mapped(bid), who="bob")
    assert "The upload queue is not stopped" in page(alice, "/batches/plc/resume-queue/")
    Batch.objects.get(bid="plc").leave_queue("2 of 3 records failed")
    for url in ("/batches/plc/", "/batches/"):
        assert "2 of 3 records failed" in page(alice, url)
    assert "It stopped at plc: 2 of 3 records failed. The queue goes on with 1 batch." in page(
        alice, "/batches/plc/resume-queue/"
    )
    alice.post("/batches/plc/resume-queue/")
    assert not Batch.objects.exclude(queue_stop=None)
    assert "Resume upload queue" not in page(alice, "/batches/plc/")


def test_several_are_queued_in_the_admin_the_oldest_first(
    mapped: Callable[..., Batch],  # noqa: F811
    admin_client: Client,
    shelf: Shelf,
) -> None:
    batches = [mapped(bid) for bid in ("b", "a", "c")]
    shutil.rmtree(shelf.files / "c")
    url = "/admin/batches/batch/"
    keys = [batch.pk for batch in batches]
    answer = admin_client.post(url, {"action": "queue_upload", "_selected_action": keys}, follow=True).content.decode()
    assert "a is queued for upload." in answer
    assert "The files of c are not on this machine" in answer
    assert [batch.bid for batch in read_queue().waiting] == ["b", "a"]


def test_a_batch_that_is_uploaded_is_refused_with_the_command_that_sends_the_rest(alice: Client, shelf: Shelf) -> None:
    shelf.batch("plc", "a")
    assert "plc is uploaded." in page(alice, "/batches/plc/queue/")
    assert "plc is uploaded." in alice.post("/batches/plc/queue/", follow=True).content.decode()
    assert not Batch.objects.exclude(queued_at=None)
