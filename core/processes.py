"""This process, in words that another one on the same machine can check, and a clock that never jumps."""

from __future__ import annotations

import getpass
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def monotonic() -> float:
    """Seconds that never jump; on Linux they also run while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@cache
def this_process() -> str:
    """Boot, process namespace, id and start of this process: no other process ever has the same."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """True if the process certainly ended: it ran on this very boot and process namespace, and is there no more."""
    machine, _, rest = process.partition(" ")
    pid, _, started = rest.partition(" ")
    return bool(machine) and machine == _machine() and pid.isdigit() and _started(int(pid)) != started


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot + "/" + Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""  # not Linux: an owner is known to be dead only when its lease or heartbeat is too old


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended, though its parent has not yet noticed. Field 3 is the state, field 22 the start (proc(5)).
    return "" if fields[0] in "ZX" else fields[19]


@cache
def os_user() -> str:
    """The user who runs this process, at most 150 characters."""
    try:
        return getpass.getuser()[:150]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container need not know a name for its user


class StopFlag:
    """Whether somebody said so; `signal` is the number of the signal, or 0."""

    signal = 0

    def stop(self) -> bool:
        """Whether it is time to stop."""
        return bool(self.signal)


@contextmanager
def stop_on_signals(*signals: int) -> Iterator[StopFlag]:
    """SIGTERM and Ctrl-C (or the given signals) only set a flag, so that an insert in flight is finished and recorded."""
    told = StopFlag()

    def note(number: int, _frame: object) -> None:
        told.signal = number

    before = {number: signal.signal(number, note) for number in signals or (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
