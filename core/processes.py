"""Processes: an identity that others on the same machine can check, signals, and a clock that never jumps."""

from __future__ import annotations

import ctypes
import getpass
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def monotonic() -> float:
    """Seconds that never jump; on Linux they also run while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@cache
def this_process() -> str:
    """Boot, process namespace, id and start time of this process: no other process ever has the same."""
    return f"{_boot()} {os.getpid()} {_start_time(os.getpid())}"


def is_dead(process: str) -> bool:
    """True if the process has certainly ended: it ran in this boot and process namespace, and is gone."""
    boot, _, rest = process.partition(" ")
    pid, _, started = rest.partition(" ")
    return bool(boot) and boot == _boot() and pid.isdigit() and _start_time(int(pid)) != started


@cache
def _boot() -> str:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot_id + "/" + Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""  # not Linux: only an expired lease or heartbeat shows that an owner is dead


def _start_time(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended, even if its parent has not noticed yet. Field 3 is the state, field 22 the start (proc(5)).
    return "" if fields[0] in "ZX" else fields[19]


@cache
def os_user() -> str:
    """The user that runs this process, at most 150 characters."""
    try:
        return getpass.getuser()[:150]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container may have no name for its user


class StopFlag:
    """Set by a signal; `signal` is its number, or 0."""

    signal = 0

    def stop(self) -> bool:
        """Whether a signal has arrived."""
        return bool(self.signal)


@contextmanager
def stop_on_signals(*signals: int) -> Iterator[StopFlag]:
    """SIGTERM and Ctrl-C (or the given signals) only set a flag, so that an insert in flight is finished and recorded."""
    flag = StopFlag()

    def handle(number: int, _frame: object) -> None:
        flag.signal = number

    previous = {number: signal.signal(number, handle) for number in signals or (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """On Linux, makes this process get a SIGTERM when its parent dies, however that dies."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
