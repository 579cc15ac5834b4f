"""What core/jobs/cluster.py replaces inside django-q2 and leans on there, checked on django-q2 itself.

Another version may only come in with these tests green, and the cluster's module read against its changes.
"""

from __future__ import annotations

import inspect
import multiprocessing
import queue
import signal
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import django_q.admin
import django_q.brokers
import django_q.brokers.orm
import django_q.brokers.redis_broker
import django_q.cluster
import django_q.conf
import django_q.exceptions
import django_q.models
import django_q.pusher
import django_q.queues
import django_q.scheduler
import django_q.signing
import django_q.tasks
import django_q.worker
import pytest
from django.conf import settings
from django.utils import timezone

from core.jobs.cluster import CheckedBroker, JobCluster, JobSentinel, WorkerTimer

JOB = "loader.tasks.count_samples"
WRITTEN_FOR = "1.11.1"
SIGNATURES: dict[Callable[..., Any], list[str]] = {
    django_q.cluster.Sentinel.__init__: [
        "self",
        "stop_event",
        "start_event",
        "cluster_id",
        "broker",
        "timeout",
        "start",
    ],
    django_q.cluster.Sentinel.start: ["self"],
    django_q.cluster.Sentinel.spawn_cluster: ["self"],
    django_q.cluster.Sentinel.spawn_process: ["self", "target", "args"],
    django_q.cluster.Sentinel.spawn_worker: ["self"],
    django_q.cluster.Sentinel.spawn_monitor: ["self"],
    django_q.cluster.Sentinel.spawn_pusher: ["self"],
    django_q.cluster.Sentinel.guard: ["self"],
    django_q.cluster.Sentinel.stop: ["self"],
    django_q.cluster.Sentinel.reincarnate: ["self", "process"],
    django_q.cluster.Cluster.__init__: ["self", "broker"],
    django_q.cluster.Cluster.start: ["self"],
    django_q.cluster.Cluster.sig_handler: ["self", "signum", "frame"],
    django_q.worker.worker: ["task_queue", "result_queue", "timer", "timeout"],
    django_q.pusher.pusher: ["task_queue", "event", "broker"],
    django_q.scheduler.scheduler: ["broker"],
    django_q.tasks.async_task: ["func", "args", "kwargs"],
}


def test_the_version_is_the_one_that_the_cluster_was_written_for() -> None:
    assert version("django-q2") == WRITTEN_FOR


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_what_we_call_and_override_takes_what_it_took(function: Callable[..., Any]) -> None:
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_overridden_methods_are_still_there_to_be_overridden() -> None:
    for ours, theirs in ((JobSentinel, django_q.cluster.Sentinel), (JobCluster, django_q.cluster.Cluster)):
        assert issubclass(ours, theirs)
        own = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
        assert {name for name in own - {"run"} if not hasattr(theirs, name)} == set()
        for name in own - {"run", "__init__"}:
            wanted = list(inspect.signature(getattr(theirs, name)).parameters)
            found = [parameter.lstrip("_") for parameter in inspect.signature(getattr(ours, name)).parameters]
            assert found == wanted, name


def test_names_that_are_replaced_in_modules_are_looked_up_when_they_are_used() -> None:
    assert "scheduler" in django_q.cluster.Sentinel.guard.__code__.co_names
    assert "Sentinel" in django_q.cluster.Cluster.start.__code__.co_names
    assert "localtime" in django_q.scheduler.scheduler.__code__.co_names
    assert django_q.cluster.scheduler is django_q.scheduler.scheduler
    assert django_q.cluster.worker is django_q.worker.worker, "spawn_process knows a worker by its function"


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back the signal handlers that clusters and sentinels set."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_cluster_hands_both_signals_to_its_handler_and_has_the_attributes_that_run_needs() -> None:
    cluster = JobCluster()
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == cluster.sig_handler
    assert (cluster.sentinel, cluster.stop_event, cluster.start_event) == (None, None, None)
    cluster.sig_handler(signal.SIGTERM, None)
    assert cluster.stop_requested


class Recording(django_q.cluster.Sentinel):  # type: ignore[misc]
    """A sentinel that starts no process, and notes which it would."""

    def __init__(self, *, start: bool = False) -> None:
        self.calls: list[str] = []
        self.guards = True
        broker = SimpleNamespace(
            ping=lambda: self.calls.append("ping"), set_stat=lambda *_: None, list_key="jobs", cache=None
        )
        context = multiprocessing.get_context("fork")
        self.stopped = context.Event()
        super().__init__(self.stopped, context.Event(), uuid.uuid4(), broker, start=start)

    def spawn_process(self, target: Any, *args: Any) -> Any:  # noqa: ANN401 - django-q2 has no types
        self.calls.append(target.__name__)
        process = SimpleNamespace(name=target.__name__, pid=1, is_alive=lambda: True, exitcode=None, args=args)
        if target is django_q.worker.worker:
            process.timer = args[2]
            process.terminate = lambda: self.calls.append("terminate")
            self.pool.append(process)
        return process

    def guard(self) -> None:
        self.calls.append("guard")

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.mark.usefixtures("handlers", "db")
def test_a_sentinel_starts_workers_then_the_monitor_then_the_pusher_and_guards_them() -> None:
    sentinel = Recording(start=True)
    assert sentinel.calls == ["ping", *["worker"] * settings.JOB_WORKERS, "monitor", "pusher", "guard"]
    assert sentinel.pool_size == len(sentinel.pool) == settings.JOB_WORKERS
    assert (sentinel.monitor.name, sentinel.pusher.name) == ("monitor", "pusher")
    assert sentinel.pusher.args == (sentinel.task_queue, sentinel.event_out, sentinel.broker)
    task_queue, result_queue, timer, timeout = sentinel.pool[0].args
    assert (task_queue, result_queue) == (sentinel.task_queue, sentinel.result_queue)
    assert (timer.value, timeout) == (-1, settings.JOB_TIMEOUT)


@pytest.mark.usefixtures("handlers", "db")
def test_a_real_process_of_a_worker_joins_the_pool_with_its_timer() -> None:
    sentinel = django_q.cluster.Sentinel(
        multiprocessing.Event(), multiprocessing.Event(), uuid.uuid4(), SimpleNamespace(), start=False
    )
    sentinel.task_queue.put("STOP")
    timer = WorkerTimer()
    process = sentinel.spawn_process(
        django_q.worker.worker, sentinel.task_queue, sentinel.result_queue, timer, sentinel.timeout
    )
    process.join(30)
    assert (process.exitcode, sentinel.pool, process.timer) == (0, [process], timer)


@pytest.mark.usefixtures("handlers", "db")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_worker_that_died_leaves_the_pool_before_another_one_takes_its_place(number: int) -> None:
    sentinel = Recording()
    sentinel.spawn_cluster()
    sentinel.calls.clear()
    dead = sentinel.pool[number]
    dead.timer.value = -2
    others = [process for process in sentinel.pool if process is not dead]
    sentinel.reincarnate(dead)
    assert sentinel.calls == ["worker"]
    assert sentinel.pool[:-1] == others
    assert sentinel.pool[-1] is not dead


@pytest.mark.usefixtures("handlers", "db")
def test_a_round_of_the_guard_reads_each_timer_under_its_lock_and_replaces_what_ended() -> None:
    sentinel = Recording()
    sentinel.spawn_cluster()
    idle, busy, over, dead = sentinel.pool[:4]
    for process in sentinel.pool:
        process.timer = WorkerTimer()
    busy.timer.value, over.timer.value = 100, 0
    dead.is_alive = lambda: False
    replaced: list[Any] = []
    sentinel.reincarnate = replaced.append
    sentinel.stopped.set()
    sentinel.calls.clear()
    django_q.cluster.Sentinel.guard(sentinel)
    assert replaced == [over, dead]
    assert idle.timer.value == -1
    assert 0 < busy.timer.value < 100, "the timer of a busy worker runs down"
    assert sentinel.calls == ["stop"], "told to stop, it stops after the round"
    assert sentinel.start_event.is_set()


class Watched(WorkerTimer):
    """A timer that remembers what it was set to."""

    def __init__(self) -> None:
        self.values: list[float] = []
        super().__init__()

    @property
    def value(self) -> float:
        return super().value

    @value.setter
    def value(self, seconds: float) -> None:
        self.values.append(seconds)
        self._seconds.value = seconds


def test_a_worker_sets_its_timer_above_0_while_it_is_busy_and_below_when_it_is_idle() -> None:
    timer, tasks, results = Watched(), queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()
    during: list[float] = []
    task = {"id": "1", "name": "n", "func": during.append, "args": (), "kwargs": {}, "sync": True}
    tasks.put({**task, "func": lambda: during.append(timer.value)})
    tasks.put("STOP")
    django_q.worker.worker(tasks, results, timer, 60)
    assert during == [63]
    assert timer.values == [-1, 60, 63, -1]
    assert results.get()["success"] is True


def test_a_worker_that_is_replaced_after_so_many_jobs_says_so_with_minus_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_q.conf.Conf, "RECYCLE", 1)
    timer, tasks = Watched(), queue.SimpleQueue[Any]()
    tasks.put({"id": "1", "name": "n", "func": lambda: None, "args": (), "kwargs": {}, "sync": True})
    django_q.worker.worker(tasks, queue.SimpleQueue[Any](), timer, 60)
    assert timer.values[-1] == -2


@pytest.mark.usefixtures("db")
def test_a_pusher_takes_jobs_from_the_broker_that_it_is_given_until_it_is_told_to_stop() -> None:
    package = django_q.signing.SignedPackage.dumps({"id": "1", "name": "n", "func": JOB, "args": (), "kwargs": {}})
    told, tasks = multiprocessing.Event(), queue.SimpleQueue[Any]()
    failed: list[int] = []

    def dequeue() -> list[tuple[int, str]]:
        told.set()
        return [(7, package), (8, "no package")]

    broker = CheckedBroker(
        SimpleNamespace(dequeue=dequeue, fail=failed.append, list_key="jobs"), tasks, [WorkerTimer()]
    )
    django_q.pusher.pusher(tasks, told, broker)
    task = tasks.get()
    assert (task["id"], task["ack_id"], tasks.empty(), failed) == ("1", 7, True, [8])


def test_a_queue_knows_its_size() -> None:
    tasks = django_q.queues.Queue()
    tasks.put(1)
    assert tasks.qsize() == 1
    assert tasks.get(timeout=10) == 1
    tasks.close()
    tasks.join_thread()


BROKERS = [django_q.brokers.orm.ORM, django_q.brokers.redis_broker.Redis]


@pytest.mark.parametrize("broker", BROKERS, ids=lambda broker: broker.__name__)
def test_both_brokers_can_do_what_we_and_the_cluster_ask(broker: type) -> None:
    assert issubclass(broker, django_q.brokers.Broker)
    for name in ("ping", "enqueue", "dequeue", "acknowledge", "fail", "queue_size", "set_stat"):
        assert callable(getattr(broker, name)), name


@pytest.mark.django_db
def test_the_database_as_a_broker_keeps_a_job_until_it_is_acknowledged() -> None:
    broker = django_q.brokers.get_broker()
    assert type(broker) is django_q.brokers.orm.ORM
    assert broker.list_key == settings.JOB_QUEUE
    django_q.tasks.async_task("loader.tasks.count_samples")
    assert broker.queue_size() == 1
    ((key, payload),) = broker.dequeue()
    assert django_q.signing.SignedPackage.loads(payload)["func"] == "loader.tasks.count_samples"
    row = django_q.models.OrmQ.objects.get(pk=key)
    assert (row.key, row.lock > timezone.now(), broker.queue_size()) == (settings.JOB_QUEUE, True, 0)
    broker.acknowledge(key)
    assert not django_q.models.OrmQ.objects.exists()


def test_each_setting_of_ours_is_one_that_it_reads() -> None:
    conf, ours = django_q.conf.Conf, settings.Q_CLUSTER
    assert ours["name"] == conf.CLUSTER_NAME
    names = {
        "name": "PREFIX",
        "workers": "WORKERS",
        "timeout": "TIMEOUT",
        "retry": "RETRY",
        "max_attempts": "MAX_ATTEMPTS",
        "ack_failures": "ACK_FAILURES",
        "catch_up": "CATCH_UP",
        "recycle": "RECYCLE",
        "label": "LABEL",
        "orm": "ORM",
    }
    assert ours.keys() == names.keys()
    assert {key: getattr(conf, name) for key, name in names.items()} == {key: ours[key] for key in names}
    assert not conf.SYNC
    assert conf.DAEMONIZE_WORKERS is True


@pytest.mark.django_db(transaction=True)  # the scheduler closes connections
def test_repeats_is_minus_1_for_a_schedule_without_an_end_and_0_for_one_that_is_off() -> None:
    schedules = django_q.models.Schedule.objects
    schedules.all().delete()
    long_ago = timezone.now() - timedelta(days=1)
    for repeats in (-1, 0):
        schedules.create(name=str(repeats), func=JOB, cron="* * * * *", schedule_type="C", repeats=repeats)
    schedules.update(next_run=long_ago)
    django_q.scheduler.scheduler(django_q.brokers.get_broker())
    assert [row.group() for row in django_q.models.OrmQ.objects.all()] == ["-1"]
    assert schedules.get(name="-1").repeats == -1
    assert schedules.get(name="-1").next_run > timezone.now(), "what was missed is not caught up"
    assert (schedules.get(name="0").repeats, schedules.get(name="0").next_run) == (0, long_ago)


def test_whatever_is_queued_announces_itself_before_it_is_signed() -> None:
    """`core.jobs.registry` refuses by raising in this signal."""
    names = django_q.tasks.async_task.__code__.co_names
    assert names.index("pre_enqueue") < names.index("SignedPackage") < names.index("_sync")


def test_a_time_out_ends_a_job_like_an_exit() -> None:
    # A job that catches Exception goes on to its end; core.jobs.decorator names both.
    assert issubclass(django_q.exceptions.TimeoutException, SystemExit)


def test_its_admin_registers_what_ours_replaces() -> None:
    assert {"Schedule", "Success", "Failure", "OrmQ"} <= set(vars(django_q.admin))
