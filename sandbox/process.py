"""Stand-ins as processes: start one and wait until it is ready, stop it, and end with the parent."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(Exception):
    """A stand-in ended, or did not report in time, before it was ready."""


class Child:
    """A process that we started. As a context manager it is stopped, with its children, at the end.

    `ready` is the JSON line that it printed when it was ready, empty for a command that prints none.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any] | None = None) -> None:
        self.process = process
        self.ready: dict[str, Any] = ready or {}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def endpoint(self) -> str:
        """Where it answers, `http://127.0.0.1:PORT`."""
        return str(self.ready["endpoint"])

    @property
    def running(self) -> bool:
        """Whether it is still there."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL); it cleans nothing up."""
        self.process.kill()
        self.process.wait()
        self._close_pipes()

    def stop(self, grace: float = 5.0) -> None:
        """Ask it to end, wait up to `grace` seconds, then kill what still runs of it and of its children."""
        if self.running:
            stop_tree(self.pid, grace, reap=self.process)
        self.process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start(module_args: list[str], *, timeout: float = 20.0, env: Mapping[str, str] | None = None) -> Child:
    """Start `python -m sandbox MODULE_ARGS --follow-stdin`; return when it has printed its ready line.

    It ends when this process does. Raises StartError after `timeout` seconds or when it ends before.
    `env` is added to our own environment. Its stderr is ours.
    """
    command = [sys.executable, "-m", "sandbox", *module_args, "--follow-stdin"]
    environment = {**os.environ, **(env or {})}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    # Its own session: Ctrl-C at the terminal reaches the parent, which stops its stand-ins when it has finished.
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    child = Child(process)
    try:
        child.ready = json.loads(_first_line(process, timeout))
    except BaseException:
        child.stop(grace=0.5)
        raise
    return child


def start_command(
    command: list[str],
    is_ready: Callable[[], bool],
    *,
    timeout: float = 20.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: Path | None = None,
) -> Child:
    """Start any program and return when `is_ready()` says so (asked every 20 ms); StartError as for `start`.

    On Linux it is killed by the kernel when the *thread* that started it ends: call it from the main thread.
    `output` is a file for its stdout and stderr, else they are dropped. It stays in our process group.
    """
    with contextlib.ExitStack() as stack:
        sink: Any = stack.enter_context(output.open("ab")) if output else subprocess.DEVNULL
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, from a wrapper that has no threads yet
        )
    child = Child(process)
    try:
        _wait_until(is_ready, process, timeout)
    except BaseException:
        child.stop(grace=0.5)
        raise
    return child


def stop_tree(pid: int, grace: float = 5.0, reap: subprocess.Popen[bytes] | None = None) -> None:
    """End a process and all its descendants, each by its id: SIGTERM to it, after `grace` seconds SIGKILL to all.

    `reap` is its Popen when it is a child of ours, so that it is not left as a zombie.
    """
    family = [pid, *descendants(pid)]
    _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(alive(one, reap) for one in family):
        time.sleep(0.01)
    for one in family:
        if alive(one, reap):
            _signal(one, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The ids of the children of a process, their children, and so on; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for one, parent, _state in _processes():
        children.setdefault(parent, []).append(one)
    found = list(children.get(pid, []))
    for one in found:
        found.extend(children.get(one, []))
    return found


class Stop:
    """Says when this stand-in must end: at SIGTERM, at Ctrl-C, and with `follow_stdin` when its parent is gone.

    Make it in the main thread. `wait` for plain loops; event loops watch `filenos()`, readable means end.
    """

    def __init__(self, *, follow_stdin: bool) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._follow_stdin = follow_stdin
        self._parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if follow_stdin and _LIBC:
            # Not SIGTERM: the kernel sends this one too when just the thread that started us has ended.
            signal.signal(signal.SIGUSR1, self._parent_may_be_gone)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)

    def filenos(self) -> list[int]:
        """The file descriptors that become readable when it is time to end."""
        return [self._read, 0] if self._follow_stdin else [self._read]

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a request to end, at most `seconds` (None: forever); whether one came."""
        return bool(select.select(self.filenos(), [], [], seconds)[0])

    def is_set(self) -> bool:
        """Whether it must end."""
        return self.wait(0)

    def set(self) -> None:
        """Request the end; safe in signal handlers and in other threads."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"x")

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.set()

    def _parent_may_be_gone(self, _number: int, _frame: object) -> None:
        if os.getppid() != self._parent:
            self.set()


def announce(service: str, endpoint: str, **facts: object) -> None:
    """Print the ready line of a stand-in (`service`: oci, fn4, …): one line of JSON, all that it prints on stdout."""
    note = "a stand-in for tests and demos only"
    print(json.dumps({"service": service, "endpoint": endpoint, "note": note, "pid": os.getpid(), **facts}), flush=True)


def _first_line(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    stdout = process.stdout
    if stdout is None:
        raise StartError(f"{_words(process)} has no pipe to report that it is ready")
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stdout], [], [], left)[0]:
            raise StartError(f"{_words(process)} was not ready within {timeout:g} s")
        some = os.read(stdout.fileno(), 65536)
        if not some:
            raise StartError(f"{_words(process)} ended with status {process.wait()} before it was ready")
        line += some
    return line


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not is_ready():
        if process.poll() is not None:
            raise StartError(f"{_words(process)} ended with status {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise StartError(f"{_words(process)} was not ready within {timeout:g} s")
        time.sleep(0.02)


def _words(process: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, process.args)) if isinstance(process.args, list) else str(process.args)


def _die_with_parent() -> None:
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def alive(pid: int, reap: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether a process is there and is no zombie; `reap` is its Popen when it is a child of ours."""
    if reap and pid == reap.pid:
        return reap.poll() is None
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")


def _processes() -> Iterator[tuple[int, int, str]]:
    for folder in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            yield int(folder.name), int(fields[1]), fields[0].decode()
