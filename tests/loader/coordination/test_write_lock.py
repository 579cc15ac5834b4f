"""Threads of one process queue to write."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from loader.coordination.write_lock import locked_transaction, write_lock
from loader.models import Server


@pytest.mark.django_db(transaction=True)
def test_many_threads_write_at_once_and_none_is_refused() -> None:
    server = Server.objects.create(identity="s", url="s")

    def write() -> None:
        try:
            for number in range(10):
                with locked_transaction("default"):
                    fence = Server.objects.select_for_update().get(pk=server.pk).fence
                    Server.objects.filter(pk=server.pk).update(fence=fence + 1)
                with write_lock("default"):
                    Server.objects.filter(pk=server.pk).update(number_in_server=number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Server.objects.values_list("fence", "number_in_server").get() == (80, 9)


@pytest.mark.django_db(transaction=True)
def test_what_fails_is_not_written_and_gives_back_its_turn() -> None:
    def fail() -> None:
        with locked_transaction("default"):
            Server.objects.create(identity="s", url="s")
            raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        fail()
    with write_lock("default"), write_lock("default"), transaction.atomic():
        assert not Server.objects.exists()
    assert not connection.in_atomic_block
